------------------------------- MODULE Variants -------------------------------
(***************************************************************************)
(* What each rule of rendezvous.tla is for: another one in its place.      *)
(*                                                                         *)
(* A line of variants.txt names a rule and a definition of this module     *)
(* that TLC takes instead, and the property that then fails. A definition  *)
(* need only be right for what its line explores.                          *)
(***************************************************************************)
EXTENDS MCrendezvous

(***************************************************************************)
(* The client.                                                             *)
(***************************************************************************)

\* A client that joins may also start a server.
RetireStartsNone == {"Retire"}

\* A client asks an older server to retire, whatever it chose.
AlwaysReplaces == TRUE

\* Unused slots are used again, whoever still refers to their records.
AnyFreeSlot == {s \in Slots : sv[s].pc = "Free"}

\* A suspect is dialled again without a look at its lifetime lock.
DialsAnySuspect(c, found) == found \in Slots /\ found = cl[c].suspect

\* Dials without the lock are not counted, so there is no end of them.
UncountedDial(attempt) == [attempt EXCEPT !.pc = "Dial", !.how = "Free"]

\* A client unlocks the point before it dials.
DialUnlocked(c, attempt) ==
    /\ cl' = [cl EXCEPT ![c] = [attempt EXCEPT !.pc = "Dial"]]
    /\ LetGo(c, file)

\* Sockets are swept before it is known that their servers are dead: under the point lock alone ...
RereadAndSweep(c) ==
    /\ In(c, "Reread")
    /\ LET found == Mine(c) IN
       (IF Row(c, found) = "Fresh" THEN DialHolding(c, [cl[c] EXCEPT !.rec = found])
        ELSE cl' = [cl EXCEPT ![c].pc = "Probe", ![c].row = Row(c, found)] /\ UNCHANGED point)
    /\ sv' = Swept
    /\ UNCHANGED <<conn, life, env>>

\* ... or after a look at the lifetime lock, without having it.
ClearAndSweep(c) ==
    /\ In(c, "Clear")
    /\ file' = Written(c, "Empty")
    /\ cl' = [cl EXCEPT ![c].pc = "Spawn"]
    /\ sv' = Swept
    /\ UNCHANGED <<conn, plock, cur, life, env>>

\* A server that another boot may have started is not dialled.
DoubtfulBacksOff(row) ==
    CASE row = "Dialect"   -> "OtherDialect"
      [] row = "Newer"     -> "Incompatible"
      [] row = "Suspected" -> "Again"
      [] OTHER             -> "Backoff"

\* A suspect whose lifetime lock is held is not dialled again.
SuspectedBacksOff(row) ==
    CASE row = "Dialect"  -> "OtherDialect"
      [] row = "Newer"    -> "Incompatible"
      [] row = "Doubtful" -> "Dial"
      [] OTHER            -> "Backoff"

\* A client does not wait for a life file that is made again.
NeverWanting(c) == FALSE

\* A suspect is taken for dead without a look at the lifetime lock.
UnprobedVerdict(c) == IF Wanting(c) THEN "Wait" ELSE WhenFree(cl[c].row)

\* A client that may serve in its own process does so after each verdict, not only after a start that failed.
SettledInternal(attempt, verdict) == Ends(attempt, "Internal")

\* A client unlocks the point after it probed the lifetime lock, and locks it again to clear it.
ProbeAndUnlock(c) ==
    /\ In(c, "Probe")
    /\ cl' = [cl EXCEPT ![c] = Probed(c)]
    /\ (IF Verdict(c) = "Start" THEN LetGo(c, file) ELSE UNCHANGED point)
    /\ UNCHANGED <<sv, conn, life, env>>
LockAndClear(c) ==
    LET lock == IF Holds(c) THEN plock ELSE [plock EXCEPT ![cur] = c]
        here == IF lock[1] = c THEN 1 ELSE 0
    IN /\ In(c, "Clear")
       /\ Holds(c) \/ plock[cur] = None
       /\ file' = [file EXCEPT ![here] = "Empty"]
       /\ plock' = lock
       /\ cl' = [cl EXCEPT ![c].pc = "Spawn"]
       /\ UNCHANGED <<sv, conn, cur, life, env>>

\* A client keeps the lifetime lock that it took to probe it, until it unlocks the point.
ProbeAndKeep(c) ==
    /\ In(c, "Probe")
    /\ cl' = [cl EXCEPT ![c] = Probed(c)]
    /\ life' = IF Verdict(c) = "Start" THEN c ELSE life
    /\ UNCHANGED <<sv, conn, point, env>>
UnlockBoth(c) ==
    /\ In(c, "Unlock")
    /\ LetGo(c, file)
    /\ life' = IF life = c THEN None ELSE life
    /\ cl' = [cl EXCEPT ![c] = Unlocked(c)]
    /\ UNCHANGED <<sv, conn, env>>

\* A client does not look again before it serves in its own process.
BlindFallback(c) ==
    /\ In(c, "Fallback")
    /\ cl' = [cl EXCEPT ![c] = Ends([cl[c] EXCEPT !.pc = "Unlock"], "Internal")]
    /\ UNCHANGED <<sv, conn, point, life, env>>

\* A client forgets a child that failed, and does not kill it.
Forget(c) ==
    /\ In(c, "Kill")
    /\ LET s == cl[c].child IN sv' = [sv EXCEPT ![s] = IF Alive(s) THEN @ ELSE IF sv[s].pc = "Free" THEN FreeSlot
                                                       ELSE [@ EXCEPT !.pc = "Dying"]]
    /\ stopped' = stopped \ {cl[c].child}
    /\ cl' = [cl EXCEPT ![c] = KillOr([cl[c] EXCEPT !.child = None], FALSE)]
    /\ UNCHANGED <<conn, point, life, port, from, left, clean, rounds, leaked, tries>>

\* A client that gives up takes no record back, or it cannot give up while it waits for its child. (Where it leaves its child,
\* too, it is like one that is killed: `Orphaned` takes the place of `Killed`.)
TakesNothingBack(c)  == file
WaitsForItsChild(c)  == cl[c].pc \notin {"Out", "Await", "Done"} /\ c \notin stopped

\* A back-off counts as a start, of which there are three.
CountedBackoff(c) ==
    /\ In(c, "Backoff")
    /\ cl' = [cl EXCEPT ![c] = IF cl[c].starts < Starts THEN [@ EXCEPT !.pc = "Read", !.starts = @ + 1]
                               ELSE Over(c, "Failed")]
    /\ UNCHANGED <<sv, conn, point, life, env>>

\* Silence is no suspicion: a client waits until the connection ends.
NoPatience(c) == FALSE

\* A record says that its server is older, so a client that refuses older servers believes the record.
DialOrRefuse(c) ==
    /\ In(c, "Dial")
    /\ tries' = IF Calm THEN [tries EXCEPT ![c] = @ + 1] ELSE tries
    /\ (IF Refuses(c, cl[c].rec) THEN TooOld(c) ELSE Connected(c))
    /\ UNCHANGED <<sv, point, life, port, from, stopped, left, clean, rounds, leaked>>

\* A client sends the cookie instead of a proof that it knows it.
HelloWithCookie(c) ==
    /\ In(c, "Hello")
    /\ IF conn[c].eof THEN Suspect(c) ELSE Moves(c, "Prove", "hello")
    /\ leaked' = leaked \cup {cl[c].rec}
    /\ UNCHANGED <<sv, point, life, port, from, stopped, left, clean, rounds, tries>>

\* A client checks no proof, so whatever answers at the port is taken for the server ...
Answers(c, manner)      == sv[conn[c].to].pc = "Free" /\ port[conn[c].to] = manner
KnowsCookie(c)          == Answers(c, "original")
AnythingIsAProof(c)     == conn[c].st = "proof" \/ Answers(c, "liar")
AnythingIsAWelcome(c)   == conn[c].st = "welcome" \/ Answers(c, "liar")

\* ... or proofs that do not cover the identity of the point, so a server of another one is.
KnowsNoCookie(c)        == Answers(c, "liar")
CopyIsAProof(c)         == conn[c].st = "proof" \/ Answers(c, "original")
CopyIsAWelcome(c)       == conn[c].st = "welcome" \/ Answers(c, "original")

\* A client that sent its proof takes itself for welcomed.
NeedsNoWelcome(c) == TRUE

(***************************************************************************)
(* The server.                                                             *)
(***************************************************************************)

\* A server does not take the lifetime lock.
ClaimNothing(s) == At(s, "Claim") /\ Goes(s, "Build") /\ UNCHANGED <<cl, conn, point, life, env>>

\* A child that meets a held lifetime lock says that it failed, not that another server is there.
ClaimOrFail(s) ==
    /\ At(s, "Claim")
    /\ (IF Unheld THEN Goes(s, "Build") /\ life' = s ELSE Refused(s, "Failed") /\ life' = life)
    /\ UNCHANGED <<cl, conn, point, env>>

\* A child does not notice that its spawner is gone or its budget over.
NoWatchdog(s) == FALSE

\* A server looks only at the point, not at its life file.
CheckedPoint(s, found) == IF found = s THEN "Mine" ELSE IF found \in Others THEN "Lost" ELSE "Damaged"

\* A server whose socket is gone does not listen again.
ListensNoMore(checked) == FALSE

\* A server that finds its record damaged serves on, or writes it without the point lock.
RepairsNothing(slot)  == [slot EXCEPT !.pc = "Serve"]
RepairsUnlocked(slot) == [slot EXCEPT !.pc = "Restore"]

\* An idle server retires without the point lock.
RetireUnlocked(s) ==
    /\ At(s, "Lock")
    /\ sv' = [sv EXCEPT ![s] = Leaves(s, "Idle")]
    /\ UNCHANGED <<cl, conn, point, life, env>>

\* A server that was asked to retire tries the point lock only once.
HastyWhenBusy(s) == IF sv[s].purpose = "Idle" THEN [sv[s] EXCEPT !.pc = "Serve", !.purpose = ""]
                    ELSE Leaves(s, sv[s].purpose)

\* An idle server does not look whether it counts a client by now.
NeverStays(s) == FALSE

\* An idle server that counts a client waits, holding the point lock, until it counts none.
LookWhenAlone(s) ==
    /\ At(s, "Look") /\ ~Stays(s)
    /\ sv' = [sv EXCEPT ![s].pc = IF sv[s].held THEN "Withdraw" ELSE "Close", ![s].open = FALSE]
    /\ UNCHANGED <<cl, conn, point, life, env>>

\* A server stays for everything that is connected, whether it proved something or not.
StaysForMute(s) == sv[s].why = "Idle" /\ (Counted(s) # {} \/ sv[s].mute)

\* A server that was asked to retire stays if it counts a client.
StaysForCounted(s) == Counted(s) # {}

\* A server that retires withdraws whatever the point holds.
WithdrawAnything(s) ==
    /\ At(s, "Withdraw")
    /\ file' = Written(s, "Empty")
    /\ Goes(s, "Close")
    /\ UNCHANGED <<cl, conn, plock, cur, life, env>>

\* A server releases the lifetime lock before it is drained.
CloseAndRelease(s) ==
    /\ At(s, "Close")
    /\ sv' = [sv EXCEPT ![s].pc = IF sv[s].held THEN "Unlock" ELSE "Drain", ![s].then = IF sv[s].held THEN "Drain" ELSE "",
                        ![s].listen = FALSE, ![s].mute = FALSE, ![s].held = FALSE]
    /\ conn' = Hangup(s, {c \in Clients : conn[c].st # "welcome"})
    /\ life' = None
    /\ UNCHANGED <<cl, point, env>>

\* A server waits for its clients without an end.
NoDrainDeadline(s) == FALSE

\* A child greets and admits clients before it is registered.
GreetsEarly(s) == Alive(s) /\ s \notin stopped
AdmitsEarly(s) == sv[s].open \/ ~sv[s].reg

\* A server admits clients after it shut the gate.
AdmitsLate(s) == sv[s].reg

\* A server that tries the point lock for ever may always try it while it is held.
NoLuck == TRUE
===============================================================================
