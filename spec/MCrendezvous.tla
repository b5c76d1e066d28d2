----------------------------- MODULE MCrendezvous -----------------------------
(* The bounds of the models, apart from the protocol: the files *.cfg beside this one choose among them. *)
EXTENDS rendezvous, TLC

Symmetry == Permutations(Clients)

\* A suspect whose record cannot come back is the same as no suspect.
Met(c) == IF cl[c].suspect = None THEN None
          ELSE IF sv[cl[c].suspect].pc = "Free" /\ ~Refers(cl[c].suspect) THEN None ELSE cl[c].suspect
\* The same holds for a server that was asked to retire.
Asker(c) == IF cl[c].asked \in {<<s>> : s \in {t \in Slots : sv[t].pc = "Free" /\ ~Refers(t)}} THEN <<None>> ELSE cl[c].asked
View == <<[c \in Clients |-> [cl[c] EXCEPT !.suspect = Met(c), !.asked = Asker(c)]],
          sv, conn, file, plock, cur, life, port, from, stopped, left, clean, rounds, leaked, tries>>

\* Kinds of fault. An old copy makes every suspect worth remembering; a deletion makes a second file.
\* The name of a socket is random, so no other process has it: only ports have strangers.
CrashFaults   == {"kill client", "kill server", "stop client", "stop server", "torn", "deadline"}
ProgramFaults == {"cannot start", "fails", "hangs", "nonsense", "kill server"}
MostFaults    == CrashFaults \cup ProgramFaults \cup
                 {"emptied", "pipe kept", "foreign", "stranger", "backlog", "shortage", "mute client"}
AllFaults     == MostFaults \cup {"deleted"}
SocketFaults  == (MostFaults \ {"stranger"}) \cup {"unlinked"}
EveryFault    == AllFaults \cup {"old copy"}

\* Each transition is printed when it is first taken: README.md draws exactly these. It leaves out that a client or a
\* server can be killed, and that a client can give up, at any step.
ASSUME TLCSet(1, {})
Printed(way) == way \in TLCGet(1) \/ (TLCSet(1, TLCGet(1) \cup {way}) /\ PrintT(way))
Tell ==
    /\ \A c \in Clients : cl'[c].pc # cl[c].pc /\ (cl'[c].pc = "Out" => cl[c].pc = "Done")
                        /\ cl'[c].out \notin {"Deadline", "Trouble"} => Printed(<<"client", cl[c].pc, cl'[c].pc>>)
    /\ \A s \in Slots : sv'[s].pc # sv[s].pc /\ "Dying" \notin {sv[s].pc, sv'[s].pc}
                        => Printed(<<"server", sv[s].pc, sv'[s].pc>>)

\* The window that OneHandler leaves open after a life file was removed is reached.
NoWindow == \A s, t \in Slots : Handler(s) /\ Handler(t) => s = t

\* What two faults at once may break is reached: a live server's record is cleared, or a second server serves.
NeverRevived == [][\A s \in Slots : Serving(s) /\ file[cur] = s /\ ~Damaged => file'[cur] = s]_vars
NeverTwo == \A s, t \in Slots : Serving(s) /\ Serving(t) => s = t

\* Every outcome is reached: each of these must fail.
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
NeverTooOld == Never("TooOld")
NeverAsked == \A c \in Clients : cl[c].asked = <<>>
NeverForeignScope == Never("ForeignScope")
===============================================================================
