-------------------------------- MODULE MCcore --------------------------------
(* The bounds of core.cfg. *)
EXTENDS core, TLC

Symmetry == Permutations(Clients) \cup Permutations(Servers) \cup Permutations(Inodes)
===============================================================================
