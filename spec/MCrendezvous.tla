----------------------------- MODULE MCrendezvous -----------------------------
(* The bounds of the models, apart from the protocol: the files *.cfg beside this one choose among them. *)
EXTENDS rendezvous, TLC

Symmetry == Permutations(Clients)

\* A suspect that can be met no more is as good as none.
Met(c) == IF cl[c].suspect = None THEN None
          ELSE IF sv[cl[c].suspect].pc = "Free" /\ ~Refers(cl[c].suspect) THEN None ELSE cl[c].suspect
View == <<[c \in Clients |-> [cl[c] EXCEPT !.suspect = Met(c)]],
          sv, conn, file, plock, cur, life, port, stopped, left, clean, rounds, leaked, tries>>

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
