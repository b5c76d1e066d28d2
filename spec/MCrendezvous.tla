----------------------------- MODULE MCrendezvous -----------------------------
(* The bounds of the models, apart from the protocol: the files *.cfg beside this one choose among them. *)
EXTENDS rendezvous, TLC

Symmetry == Permutations(Clients)

\* A suspect that can be met no more is as good as none.
Met(c) == IF cl[c].suspect = None THEN None
          ELSE IF sv[cl[c].suspect].pc = "Free" /\ ~Refers(cl[c].suspect) THEN None ELSE cl[c].suspect
View == <<[c \in Clients |-> [cl[c] EXCEPT !.suspect = Met(c)]],
          sv, conn, file, plock, cur, life, port, stopped, left, clean, rounds, leaked, tries>>

\* Kinds of fault. An old copy is left out of all: what it may put back makes every suspect worth remembering.
CrashFaults   == {"kill client", "kill server", "stop client", "stop server", "torn", "deadline"}
ProgramFaults == {"cannot start", "fails", "hangs", "nonsense", "kill server"}
AllFaults     == CrashFaults \cup ProgramFaults \cup
                 {"emptied", "deleted", "pipe kept", "foreign", "stranger", "backlog", "shortage", "guest"}

\* Every outcome comes about: each of these must fail.
Never(out) == \A c \in Clients : cl[c].out # out
NeverWelcomed == Never("Welcomed")
NeverStart == Never("Start")
NeverAbsent == Never("Absent")
NeverInternal == Never("Internal")
NeverFailed == Never("Failed")
NeverUnverified == Never("Unverified")
NeverTooLate == Never("TooLate")
NeverTrouble == Never("Trouble")
NeverDeadline == Never("Deadline")
NeverCannotTell == Never("CannotTell")
NeverIncompatible == Never("Incompatible")
NeverOtherDialect == Never("OtherDialect")
NeverForeignScope == Never("ForeignScope")
===============================================================================
