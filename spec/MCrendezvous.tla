----------------------------- MODULE MCrendezvous -----------------------------
(* The bounds of the models, apart from the protocol: the files *.cfg beside this one choose among them. *)
EXTENDS rendezvous, TLC

Symmetry == Permutations(Clients)

\* A suspect that can be met no more is as good as none.
Met(c) == IF cl[c].suspect = None THEN None
          ELSE IF sv[cl[c].suspect].pc = "Free" /\ ~Refers(cl[c].suspect) THEN None ELSE cl[c].suspect
View == <<[c \in Clients |-> [cl[c] EXCEPT !.suspect = Met(c)]],
          sv, conn, file, plock, cur, life, port, from, stopped, left, clean, rounds, leaked, tries>>

\* Kinds of fault. What an old copy may put back makes every suspect worth remembering; a deletion makes a second file.
\* The name of a socket is drawn, and so nobody else's: only ports have strangers.
CrashFaults   == {"kill client", "kill server", "stop client", "stop server", "torn", "deadline"}
ProgramFaults == {"cannot start", "fails", "hangs", "nonsense", "kill server"}
MostFaults    == CrashFaults \cup ProgramFaults \cup
                 {"emptied", "pipe kept", "foreign", "stranger", "backlog", "shortage", "guest"}
AllFaults     == MostFaults \cup {"deleted"}
SocketFaults  == (MostFaults \ {"stranger"}) \cup {"unlinked"}
EveryFault    == AllFaults \cup {"old copy"}

\* Each way from step to step is told when it is first taken: README.md draws just these. That a client or a server can
\* be killed at any of them, and that a client can give up, goes without saying.
ASSUME TLCSet(1, {})
Told(way) == way \in TLCGet(1) \/ (TLCSet(1, TLCGet(1) \cup {way}) /\ PrintT(way))
Tell ==
    /\ \A c \in Clients : cl'[c].pc # cl[c].pc /\ (cl'[c].pc = "Out" => cl[c].pc = "Done")
                        /\ cl'[c].out \notin {"Deadline", "Trouble"} => Told(<<"client", cl[c].pc, cl'[c].pc>>)
    /\ \A s \in Slots : sv'[s].pc # sv[s].pc /\ "Dying" \notin {sv[s].pc, sv'[s].pc}
                        => Told(<<"server", sv[s].pc, sv'[s].pc>>)

\* The window that OneHandler leaves open where a life file was removed: it is there.
NoWindow == \A s, t \in Slots : Handler(s) /\ Handler(t) => s = t

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
