----------------------------- MODULE MCrendezvous -----------------------------
(* The bounds of the models, apart from the protocol: the files *.cfg beside this one choose among them. *)
EXTENDS rendezvous, TLC

Symmetry == Permutations(Clients) \cup Permutations(Slots)

\* Kinds of fault.
NoFaults == {}
Kills    == {"kill client", "kill server"}
Stops    == {"stop client", "stop server"}
Files    == {"torn", "emptied", "deleted", "old copy"}
Programs == {"cannot start", "fails", "hangs", "nonsense", "pipe kept"}
Others_  == {"foreign", "stranger", "backlog", "shortage", "deadline", "guest"}
AllFaults == Kills \cup Stops \cup Files \cup Programs \cup Others_

NoRule == {}
===============================================================================
