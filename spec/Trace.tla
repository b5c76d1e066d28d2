-------------------------------- MODULE Trace --------------------------------
(***************************************************************************)
(* Whether the protocol allows what real processes did: cargo xtask trace. *)
(*                                                                         *)
(* A run has several actors, each with a sequence of events: the client's  *)
(* machine in a process, the server's, the server's side of a handshake,   *)
(* and the world with its faults. An event is one action of the protocol   *)
(* by one actor, with what the log shows of its outcome. The order between *)
(* actors is known only where one event ended before another began         *)
(* (needs). So the actions are taken here in every order that is possible; *)
(* a run is accepted if one of these orders takes all of it.               *)
(***************************************************************************)
EXTENDS rendezvous, Recorded, Sequences, TLC

\* Recorded is written for the runs in question. It has
\*   Runs == sequence of [actors |-> sequence of [events, must], odd |-> kinds of fault that no log shows]

VARIABLES
    run,            \* the run that is checked
    pos,            \* actor -> how many of its events were taken
    named           \* slot  -> the process that is its server

log == <<run, pos, named>>

Actors   == DOMAIN Runs[run].actors
Event(a) == Runs[run].actors[a].events[pos[a] + 1]
Due(a)   == /\ pos[a] < Len(Runs[run].actors[a].events)
            /\ \A need \in Event(a).needs : pos[need[1]] >= need[2]
Consumed == \A a \in Actors : pos[a] >= Runs[run].actors[a].must
Odd(kind) == kind \in Runs[run].odd

TraceInit ==
    /\ Init
    /\ run \in DOMAIN Runs
    /\ pos = [a \in Actors |-> 0]
    /\ named = [s \in Slots |-> ""]

(***************************************************************************)
(* An event e is the action e.do of the process e.who: the step before     *)
(* (at), the step after (to; "?" if the log does not show it), the process *)
(* that it concerns (of), and what else the log shows (is).                *)
(***************************************************************************)

Is(s, process) == process = "" \/ (s # None /\ named[s] = process)
Of(process)    == {s \in Slots : named[s] = process}

\* A client's step: the step after it, and the process that it concerns.
Led(c, e) ==
    \/ e.to = "?"
    \/ /\ cl'[c].pc = e.to
       /\ e.to \in {"Dial", "Hello", "Prove", "Welcome"} => Is(cl'[c].rec, e.of)
       /\ e.to \in {"Verify", "Write", "Confirm", "Kill"} => Is(cl'[c].child, e.of)
       /\ e.to \in {"Dial", "Hello", "Prove", "Welcome"} => cl'[c].how = e.is
       /\ e.to = "Probe" => cl'[c].row = e.is
       /\ e.to \in {"Kill", "Fallback", "Unlock"} => cl'[c].then = e.is
       /\ e.to = "Done" => cl'[c].out = e.is

(* Where the code differs with the same effect: README.md gives the reason for each. *)

\* On a connection that has ended the client still reads what was sent, and what it sends is lost: the next step shows it.
Unaware(c) ==
    /\ c \notin stopped /\ conn[c].eof
    /\ \/ cl[c].pc = "Hello" /\ Moves(c, "Prove", "hello")
       \/ cl[c].pc = "Prove" /\ conn[c].st = "proof" /\ Moves(c, "Welcome", "proved")
    /\ UNCHANGED <<sv, point, life, env>>

\* A dying process closes its port before it releases its locks.
Closing(c) ==
    /\ In(c, "Dial") /\ sv[cl[c].rec].pc = "Dying" /\ Suspect(c)
    /\ UNCHANGED <<sv, point, life, env>>

\* Patience begins with the dial: a client that was stopped meanwhile goes on too late.
Late(c) ==
    /\ c \notin stopped /\ cl[c].pc \in {"Dial", "Hello", "Prove", "Welcome"} /\ Suspect(c)
    /\ UNCHANGED <<sv, point, life, env>>

\* The server's side of a dial that its client gave up.
GivenUpOn(e) == conn[e.of].to = None \/ (e.over[1] > 0 /\ pos[e.over[1]] >= e.over[2])

Stepped(c, e) ==
    /\ cl[c].pc = e.at
    /\ \/ Client(c) \/ Unaware(c) \/ Closing(c) \/ (e.late /\ Late(c))
       \/ Odd("deadline") /\ TooLate(c)
       \/ Odd("shortage") /\ CannotTell(c)
       \/ Odd("cannot start") /\ CannotStart(c)
       \/ Odd("backlog") /\ Backlog(c)
    /\ Led(c, e)

\* A server's step.
Served(s, e) ==
    /\ sv[s].pc = e.at
    /\ \/ Process(s) \/ Serve(s)
       \/ Odd("fails") /\ NoHandler(s)
       \/ Odd("nonsense") /\ Nonsense(s)
       \/ Odd("shortage") /\ CannotLock(s)
       \/ Odd("deadline") /\ Overdue(s)
    /\ e.to = "?" \/ sv'[s].pc = e.to
    /\ e.to \in {"Lock", "Backoff"} => sv'[s].purpose = e.is
    /\ e.to \in {"Unlock", "Refuse"} => sv'[s].then = e.is
    /\ e.to \in {"Look", "Withdraw", "Close", "Drain", "Release"} => sv'[s].why = e.is

\* A check of the files that finds the record intact, but perhaps not the socket.
LooksWell(s) ==
    /\ sv[s].pc = "Serve" /\ file[cur] = s
    /\ sv' = [sv EXCEPT ![s].listen = TRUE]
    /\ \E some \in SUBSET Unheard(s) : conn' = Hangup(s, some)
    /\ UNCHANGED <<cl, point, life, env>>

\* A process is killed: a client or a server.
KillProcess(p) ==
    IF \E s \in Of(p) : Alive(s) THEN \E s \in Of(p) : KillServer(s)
    ELSE IF p \in Clients /\ cl[p].pc \notin {"Out", "Done"} THEN KillClient(p)
    ELSE IF p \in Clients /\ cl[p].pc = "Done" THEN Leave(p)
    ELSE UNCHANGED vars

StopProcess(p) ==
    IF \E s \in Of(p) : Alive(s) THEN \E s \in Of(p) : StopServer(s)
    ELSE IF p \in Clients /\ cl[p].pc \notin {"Out", "Done"} THEN StopClient(p)
    ELSE UNCHANGED vars

ContinueProcess(p) ==
    LET these == stopped \cap (Of(p) \cup {p}) IN
    IF these # {} THEN \E x \in these : Continue(x) ELSE UNCHANGED vars

\* The record of a server that no client remembers equals any other's.
CopiesOf(p) == {s \in Of(p) : Copied(s)}

\* A fault that may find its effect there already.
Or(fault) == fault \/ (~ENABLED fault /\ UNCHANGED vars)

Does(e) ==
    CASE e.do = "Begin"    -> Begin(e.who) /\ cl'[e.who].goal = e.is
      [] e.do = "Client"   -> Stepped(e.who, e)
      [] e.do = "GaveUp"   -> /\ cl[e.who].pc = e.at
                              /\ \/ Odd("deadline") /\ Giveup(e.who)
                                 \/ Odd("shortage") /\ Trouble(e.who)
      [] e.do = "Leave"    -> Leave(e.who)
      [] e.do = "Server"   -> \E s \in Of(e.who) : Served(s, e)
      [] e.do = "Well"     -> \E s \in Of(e.who) : LooksWell(s)
      [] e.do = "Answer"   -> (\E s \in Of(e.who) : Answer(s, e.of)) \/ (GivenUpOn(e) /\ UNCHANGED vars)
      [] e.do = "Admit"    -> \/ \E s \in Of(e.who) : Admit(s, e.of) /\ (e.is = "Welcome" => conn'[e.of].st = "welcome")
                              \/ GivenUpOn(e) /\ UNCHANGED vars
      [] e.do = "kill"     -> KillProcess(e.who)
      [] e.do = "gone"     -> (\A s \in Of(e.who) : sv[s].pc = "Free") /\ UNCHANGED vars
      [] e.do = "stop"     -> StopProcess(e.who)
      [] e.do = "continue" -> ContinueProcess(e.who)
      [] e.do = "torn"     -> Or(Tear)
      [] e.do = "emptied"  -> Or(Empty)
      [] e.do = "foreign"  -> Fault("foreign") /\ Damage({e.is} \cap Others)
      [] e.do = "deleted"  -> Or(Delete)
      [] e.do = "unlinked" -> Or(\E s \in Of(e.who) : Unlink(s))
      [] e.do = "old copy" -> IF file[cur] \in Of(e.of) THEN UNCHANGED vars
                              ELSE PutBack /\ file'[cur] \in (IF CopiesOf(e.of) = {} THEN {Unused} ELSE CopiesOf(e.of))
      [] e.do = "stranger" -> Or(\E s \in Of(e.who) : Stranger(s) /\ port'[s] = e.is)

\* A slot has its process from its start on. A client that serves becomes a server.
Names(e) ==
    named' =
        IF e.do = "Client" /\ e.at = "Spawn" /\ cl'[e.who].child # None
        THEN [named EXCEPT ![cl'[e.who].child] = e.of]
        ELSE IF e.do = "Client" /\ e.at = "Clear" /\ cl'[e.who].out = "Start"
        THEN [named EXCEPT ![CHOOSE s \in Slots : sv[s].pc = "Free" /\ sv'[s].pc = "Claim"] = e.who]
        ELSE IF e.do = "old copy"
        THEN [s \in Slots |-> IF s = file'[cur] THEN e.of ELSE IF named[s] = e.of THEN "" ELSE named[s]]
        ELSE named

Take(a) ==
    /\ Due(a)
    /\ Does(Event(a))
    /\ Names(Event(a))
    /\ pos' = [pos EXCEPT ![a] = @ + 1]
    /\ run' = run

\* What happens to a process without an action of its own, or shows only in its consequences.
Silently ==
    /\ \/ \E s \in Slots : Watchdog(s) \/ Exit(s) \/ (Odd("hangs") /\ Hang(s))
       \/ \E s \in Slots, c \in Clients : Dismiss(s, c)
    /\ UNCHANGED log

TraceNext == (\E a \in Actors : Take(a)) \/ Silently

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, log>>

(***************************************************************************)
(* The output: that a run is accepted, after which it is not explored any  *)
(* further; and how far it went.                                           *)
(***************************************************************************)

Many == Len(Runs)
RECURSIVE Sum(_)
Sum(n) == IF n = 0 THEN 0 ELSE pos[n] + Sum(n - 1)

ASSUME \A r \in 1..2 * Many : TLCSet(r, 0)

Farther == LET taken == Sum(Len(pos)) + 1 IN
    IF taken > TLCGet(Many + run) THEN TLCSet(Many + run, taken) /\ PrintT(<<"reached", run, pos>>) ELSE TRUE

Explore ==
    /\ TLCGet(run) = 0
    /\ Farther
    /\ IF Consumed THEN TLCSet(run, 1) /\ PrintT(<<"accepted", run>>) /\ FALSE ELSE TRUE
===============================================================================
