------------------------------ MODULE rendezvous ------------------------------
(***************************************************************************)
(* Many clients, one name, one server.                                     *)
(*                                                                         *)
(* A service is named by a file, the point. It holds the record of the     *)
(* server: where it listens and its secret (the cookie). The holder of the *)
(* point's lock may change the point. A second file, the life file, is     *)
(* locked by a server from before its handler exists until its last client *)
(* is gone. Everything else follows from these two locks:                  *)
(*                                                                         *)
(*   - a client that cannot reach the recorded server only suspects it;    *)
(*   - it takes the point lock and asks the lifetime lock;                 *)
(*   - free proves that the record is dead: a server may be started;       *)
(*   - held proves nothing: the client backs off and tries again.          *)
(*                                                                         *)
(* A server listens at a port, or at a socket, which is a file of its own. *)
(* A file can be removed: by a fault, or by a server that sweeps up what   *)
(* dead servers left. Apart from that the two behave alike.                *)
(*                                                                         *)
(* An action is one step of the machines in src/proto, and has its name.   *)
(* Where client and server have a step of the same name, the server's is   *)
(* called ServerX. README.md beside this file explains the actions and     *)
(* says what is left out. MCrendezvous.tla bounds what is explored, and    *)
(* Variants.tla shows what each rule is for: it puts another in its place. *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets

CONSTANTS
    Clients,    \* programs that connect, join, serve by hand, or have a server retire
    Slots,      \* what may become a server: a process, its port and its cookie
    None,       \* neither a client nor a slot
    Goals,      \* what clients want: see Begin
    Faults,     \* the kinds of fault that happen
    Budget,     \* the largest number of faults
    Rounds,     \* the largest number of connects that begin; 0: no limit
    Transport,  \* where servers listen: at a "socket" or at a "port"
    Away,       \* the clients that are at another place than the rest
    Place,      \* that place: see Places
    Old,        \* the clients and slots of an older version of the service
    Choice,     \* what the other clients do with an older server: "Replace", "Join" or "Refuse"
    WhenLost    \* what a server does with its sessions whose life file another server has: "retire" or "keep"

VARIABLES
    cl,         \* client  -> its machine
    sv,         \* slot    -> its machine and its pipes; a process of the slot is a server
    conn,       \* client  -> its connection, if any
    file,       \* inode   -> its content: nothing, garbage, or a server's record
    plock,      \* inode   -> the holder of its lock (the point lock, if the path leads there)
    cur,        \* the inode that the point's path leads to
    life,       \* the holder of the life file's lock; None; or "absent", if there is no life file
    port,       \* slot    -> the stranger at a dead server's port, or the server of another point that a copy names
    from,       \* slot    -> the place where its server was started, as its record says
    stopped,    \* the processes that are stopped (SIGSTOP)
    left,       \* how many faults may still happen
    clean,      \* the clients that began after the last fault; kept where Rounds is not 0, for Convergence
    rounds,     \* how many connects may still begin
    leaked,     \* the cookies that were sent to anybody
    tries       \* client  -> how often it dialled before the first fault

point == <<file, plock, cur>>
env   == <<port, from, stopped, left, clean, rounds, leaked, tries>>
vars  == <<cl, sv, conn, file, plock, cur, life, port, from, stopped, left, clean, rounds, leaked, tries>>

(***************************************************************************)
(* The values.                                                             *)
(*                                                                         *)
(* A slot stands for a record: the address, the cookie and everything else *)
(* in it. A slot that nothing refers to is used again, with a fresh cookie *)
(* and another port: see FreeSlots.                                        *)
(***************************************************************************)

Inodes   == {0, 1}
Nothing  == {"Empty", "Torn"}                   \* absent or empty; malformed
Others   == {"Newer", "Dialect", "Foreign"}     \* of a newer format, of the other dialect, of another machine that
                                                \* shares the home
Contents == Slots \cup Nothing \cup Others

\* A place is the same network namespace as most (here), another one (there), an unknown one (nowhere), or one in which
\* the same kernel shows another boot or machine (rebooted).
Places   == {"here", "there", "nowhere", "rebooted"}

Calm     == left = Budget                       \* no fault has happened
Starts   == 3
Connects == {"External", "Internal", "Robust", "Join"}

\* These clients start no server. They end where no server is alive.
StartsNone == {"Retire", "Join"}

Idler == [pc |-> "Out", goal |-> "None", suspect |-> None, dials |-> 0, starts |-> 0, rec |-> None,
          how |-> "Free", again |-> FALSE, waited |-> FALSE, row |-> "", then |-> "", child |-> None,
          free |-> FALSE, listed |-> FALSE, asked |-> <<>>, out |-> ""]

FreeSlot == [pc |-> "Free", hand |-> FALSE, pipe |-> "none", reply |-> "", listen |-> FALSE, reg |-> FALSE,
             open |-> FALSE, requested |-> FALSE, why |-> "", held |-> FALSE, purpose |-> "", then |-> "",
             hung |-> FALSE, mute |-> FALSE]

NoConn == [to |-> None, st |-> "none", eof |-> FALSE]

Alive(s)    == sv[s].pc \notin {"Free", "Dying"}
Serving(s)  == Alive(s) /\ sv[s].open

PlaceOf(c) == IF c \in Away THEN Place ELSE "here"

\* Whether a client at a place can use the record of a server. A socket is a file beside the point, so it leads to its
\* server wherever the file is visible. A port belongs to its server in one network namespace only, which both sides must
\* know. Another boot may be an earlier one, whose port now belongs to another process, or this boot under
\* another name. A lifetime lock that is held shows that its holder lives on this kernel.
Reach(place, s) ==
    CASE Transport = "socket"                                -> "Direct"
      [] Transport = "port" /\ place = from[s] /\ place # "nowhere" -> "Direct"
      [] Transport = "port" /\ {place, from[s]} = {"here", "rebooted"} -> "Doubtful"
      [] OTHER                                               -> "Apart"

\* Two versions of the service. A client starts servers of its own version, so a slot has one, too. Of an older server
\* a client that could start another in its place may ask that it retire. It asks once: afterwards it joins what it finds.
IsOlder(s, c)  == s \in Old /\ c \notin Old
MayReplace     == Choice = "Replace"
Replaces(c, s) == /\ cl[c].pc = "Welcome" /\ cl[c].goal \in {"External", "Robust"} /\ cl[c].asked = <<>> /\ IsOlder(s, c)
                  /\ MayReplace
\* A client that refuses older servers says so, however it looks for one, and leaves the server alone.
Refuses(c, s)  == Choice = "Refuse" /\ IsOlder(s, c) /\ cl[c].goal \in Connects

\* No client finds a server at a port whose network namespace is unknown.
Findable(s) == Transport = "socket" \/ from[s] # "nowhere"

\* The sockets of all servers are removed. Only the holder of the lifetime lock does that: all others are dead.
Swept == [s \in Slots |-> [sv[s] EXCEPT !.listen = FALSE]]

Counts(s,c) == conn[c].to = s /\ conn[c].st = "welcome" /\ ~conn[c].eof /\ cl[c].goal \in Connects /\ ~Replaces(c, s)
Counted(s)  == {c \in Clients : Counts(s, c)}
Handler(s)  == sv[s].pc \in {"Build", "Listen", "Ready", "Registered", "Write", "Serve", "Check", "Lock", "Backoff",
                             "Recheck", "Reclaim", "Restore", "Look", "Withdraw", "Close", "Unlock", "Drain"}
               /\ sv[s].then \notin {"Busy", "Failed"}

\* Nobody has locked the life file, or there is none. A server that locks it creates it if necessary.
Absent     == "absent"
Unheld     == life \in {None, Absent}
\* The steps at which a server has taken the lifetime lock.
LifeHolds(s) == sv[s].pc \notin {"Free", "Watch", "Claim", "Dying"} /\ sv[s].then # "Busy"
\* Its life file was removed or replaced since then.
LifeFileGone(s)  == LifeHolds(s) /\ life # s

Inode(x)  == IF plock[1] = x THEN 1 ELSE 0
Holds(x)  == \E i \in Inodes : plock[i] = x
Mine(x)   == file[Inode(x)]                     \* the content of the file that x has locked

Written(x, content) == [file EXCEPT ![Inode(x)] = content]

\* An inode that is unlocked and has no path is gone.
LetGo(x, f) ==
    /\ plock' = IF Holds(x) THEN [plock EXCEPT ![Inode(x)] = None] ELSE plock
    /\ file' = IF Holds(x) /\ Inode(x) # cur THEN [f EXCEPT ![Inode(x)] = "Empty"] ELSE f
    /\ cur' = cur

\* A fault can still put back an old copy of the point.
Copies == "old copy" \in Faults /\ left > 0

\* A client forgets a suspect that is gone with its record, unless an old copy can bring the record back.
Recorded(s) == \E i \in Inodes : file[i] = s
Refers(s) ==
    \/ Recorded(s)
    \/ \E c \in Clients : s \in {cl[c].rec, cl[c].child, conn[c].to} \/ (s = cl[c].suspect /\ Copies)

FreeSlots == {s \in Slots : sv[s].pc = "Free" /\ ~Refers(s)}
Unused    == CHOOSE s \in FreeSlots : TRUE       \* which one does not matter
FreeFor(c)   == {s \in FreeSlots : s \in Old <=> c \in Old}
UnusedFor(c) == CHOOSE s \in FreeFor(c) : TRUE
Forgets(c, s) == [cl[c] EXCEPT !.suspect = IF @ = s THEN None ELSE @, !.asked = IF @ = <<s>> THEN <<None>> ELSE @]

Init ==
    /\ cl = [c \in Clients |-> Idler]
    /\ sv = [s \in Slots |-> FreeSlot]
    /\ conn = [c \in Clients |-> NoConn]
    /\ file = [i \in Inodes |-> "Empty"]
    /\ plock = [i \in Inodes |-> None]
    /\ cur = 0
    /\ life = None
    /\ port = [s \in Slots |-> "none"]
    /\ from = [s \in Slots |-> "here"]
    /\ stopped = {}
    /\ left = Budget
    /\ clean = {}
    /\ rounds = Rounds
    /\ leaked = {}
    /\ tries = [c \in Clients |-> 0]

(***************************************************************************)
(* The client, from a point's name to a server that welcomed it.           *)
(*                                                                         *)
(*   Read --dialable--> Dial -> Hello -> Prove -> Welcome --> Done         *)
(*     |                  `-------+- suspicion ----'                       *)
(*   Lock <-----------------------'   (Unlock, Backoff, Read on the way    *)
(*     |                               back)                               *)
(*   Reread -> Probe --free--> Clear -> Spawn -> Await -> Verify -> Write  *)
(*          -> Confirm -> Dial (holding)                                   *)
(***************************************************************************)

In(c, pc) == cl[c].pc = pc /\ c \notin stopped
Holding(c) == cl[c].how = "Holding"

Over(c, out) == [Idler EXCEPT !.pc = "Done", !.goal = cl[c].goal, !.listed = cl[c].listed, !.out = out]

\* A connect begins: to be served (by a policy, or only by a server that is there), to serve by hand, or to ask the
\* server to retire.
Begin(c) ==
    /\ In(c, "Out")
    /\ Rounds > 0 => rounds > 0
    /\ rounds' = IF Rounds > 0 THEN rounds - 1 ELSE rounds
    /\ \E goal \in Goals : cl' = [cl EXCEPT ![c].pc = "Read", ![c].goal = goal]
    /\ clean' = IF Rounds > 0 THEN clean \cup {c} ELSE clean
    /\ UNCHANGED <<sv, conn, point, life, port, from, stopped, left, leaked, tries>>

\* A client that has ended leaves and closes its connection. It may begin again, as a new client.
Leave(c) ==
    /\ In(c, "Done")
    /\ cl' = [cl EXCEPT ![c] = Idler]
    /\ conn' = [conn EXCEPT ![c] = NoConn]
    /\ clean' = clean \ {c}
    /\ tries' = [tries EXCEPT ![c] = 0]
    /\ UNCHANGED <<sv, point, life, port, from, stopped, left, rounds, leaked>>

\* A client dials its suspect again only after its lifetime lock was held.
DialsAgain(c, found) == found \in Slots /\ found = cl[c].suspect /\ cl[c].again

\* Without the lock it dials a record that it can reach and that is not its suspect, at most two of them.
DialsFree(c, found) ==
    /\ found \in Slots /\ found # cl[c].suspect /\ <<found>> # cl[c].asked
    /\ cl[c].dials < 2
    /\ Reach(PlaceOf(c), found) = "Direct"
FreeDial(attempt) == [attempt EXCEPT !.pc = "Dial", !.how = "Free", !.dials = @ + 1]

\* Reads without the lock.
Read(c) ==
    /\ In(c, "Read")
    /\ LET found   == file[cur]
           attempt == [cl[c] EXCEPT !.again = FALSE]
       IN cl' = [cl EXCEPT ![c] =
              CASE DialsAgain(c, found) -> [attempt EXCEPT !.pc = "Dial", !.how = "Again", !.rec = found]
                [] DialsFree(c, found)  -> FreeDial([attempt EXCEPT !.rec = found])
                [] OTHER -> (IF cl[c].goal = "Internal" THEN Over(c, "Internal") ELSE [attempt EXCEPT !.pc = "Lock"])]
    /\ UNCHANGED <<sv, conn, point, life, env>>

\* A client creates the point where there is none, but not to join: without a point there is nothing to join. Here an
\* absent point equals an empty one, so either may be found.
Lock(c) ==
    /\ In(c, "Lock")
    /\ \/ (IF plock[cur] = None
           THEN /\ plock' = [plock EXCEPT ![cur] = c]
                /\ cl' = [cl EXCEPT ![c].pc = "Reread"]
           ELSE /\ plock' = plock
                /\ cl' = [cl EXCEPT ![c].pc = "Backoff"])
       \/ /\ cl[c].goal = "Join" /\ file[cur] = "Empty" /\ plock[cur] = None
          /\ plock' = plock
          /\ cl' = [cl EXCEPT ![c] = Over(c, "Absent")]
    /\ UNCHANGED <<sv, conn, file, cur, life, env>>

Row(c, found) ==
    CASE found \in Nothing       -> "Nothing"
      [] found \in Others        -> found
      [] <<found>> = cl[c].asked -> "Replaced"
      [] <<found>> # cl[c].asked /\ found = cl[c].suspect   -> "Suspected"
      [] found \in Slots /\ <<found>> # cl[c].asked /\ found # cl[c].suspect -> (IF Reach(PlaceOf(c), found) = "Direct" THEN "Fresh"
                                                     ELSE Reach(PlaceOf(c), found))

\* A client that dials under the lock keeps it: the server cannot retire meanwhile.
DialHolding(c, attempt) ==
    /\ cl' = [cl EXCEPT ![c] = [attempt EXCEPT !.pc = "Dial", !.how = "Holding"]]
    /\ UNCHANGED point

\* Reads under the lock. The client dials a record that is not its suspect.
Reread(c) ==
    /\ In(c, "Reread")
    /\ LET found == Mine(c) IN
       (IF Row(c, found) = "Fresh" THEN DialHolding(c, [cl[c] EXCEPT !.rec = found])
        ELSE cl' = [cl EXCEPT ![c].pc = "Probe", ![c].row = Row(c, found)] /\ UNCHANGED point)
    /\ UNCHANGED <<sv, conn, life, env>>

\* The table of record x lifetime lock.
WhenFree(row) ==
    CASE row = "Dialect" -> "OtherDialect"
      [] row = "Foreign" -> "ForeignScope"
      [] OTHER           -> "Start"
WhenHeld(row) ==
    CASE row = "Dialect"   -> "OtherDialect"
      [] row = "Newer"     -> "Incompatible"
      [] row = "Doubtful"  -> "Dial"
      [] row = "Suspected" -> "Again"
      [] row \in {"Nothing", "Apart", "Foreign", "Replaced"} -> "Backoff"

\* There may be no life file: a live server makes it again. Beside a whole record of this place a client waits once for
\* that, and then takes the lifetime lock to be free.
Wanting(c) == life = Absent /\ cl[c].row \in {"Suspected", "Apart", "Newer", "Replaced"} /\ ~cl[c].waited

Verdict(c) == IF Wanting(c) THEN "Wait" ELSE IF Unheld THEN WhenFree(cl[c].row) ELSE WhenHeld(cl[c].row)

\* The attempt ends as soon as the client holds nothing; it forgets what decided until now.
Ends(attempt, out) == [attempt EXCEPT !.then = out, !.suspect = None, !.waited = FALSE, !.dials = 0, !.starts = 0,
                                       !.asked = <<>>]

\* What the policy makes of a start that failed.
Failed(c, attempt) ==
    IF cl[c].goal = "Robust" THEN [attempt EXCEPT !.then = "Fallback", !.listed = TRUE] ELSE Ends(attempt, "Failed")

KillOr(attempt, child) ==
    [attempt EXCEPT !.pc = IF child THEN "Kill" ELSE (IF attempt.then = "Fallback" THEN "Fallback" ELSE "Unlock")]

\* A verdict by which the client neither starts nor dials: it tries again later, or the connect ends.
Settled(attempt, verdict) ==
    IF verdict \in {"Backoff", "Again", "Wait"} THEN [attempt EXCEPT !.then = verdict] ELSE Ends(attempt, verdict)

Probed(c) ==
    LET verdict == Verdict(c)
        attempt == [cl[c] EXCEPT !.row = "", !.free = Unheld /\ ~Wanting(c), !.waited = @ /\ life = Absent,
                                 !.again = Wanting(c) /\ cl[c].row = "Suspected"]
        unlock  == [attempt EXCEPT !.pc = "Unlock"]
    IN CASE verdict = "Start" /\ cl[c].goal \in StartsNone -> Ends(unlock, "Absent")
         [] verdict = "Start" /\ cl[c].goal \notin StartsNone ->
            (IF cl[c].starts = Starts THEN KillOr(Failed(c, attempt), FALSE) ELSE [attempt EXCEPT !.pc = "Clear"])
         [] verdict = "Dial" -> [attempt EXCEPT !.pc = "Dial", !.how = "Holding", !.rec = Mine(c)]
         [] verdict \notin {"Start", "Dial"} -> Settled(unlock, verdict)

\* The client takes the lifetime lock and releases it at once: the server that it starts needs it.
Probe(c) ==
    /\ In(c, "Probe")
    /\ cl' = [cl EXCEPT ![c] = Probed(c)]
    /\ UNCHANGED <<sv, conn, point, life, env>>

Server(hand) ==
    [FreeSlot EXCEPT !.hand = hand, !.pc = IF hand THEN "Claim" ELSE "Watch", !.pipe = IF hand THEN "none" ELSE "open"]

\* A client that serves by hand is a server from now on and keeps the point lock.
ByHand(c) ==
    LET s == UnusedFor(c) IN
    /\ cl' = [x \in Clients |-> IF x = c THEN Over(c, "Start") ELSE Forgets(x, s)]
    /\ sv' = [sv EXCEPT ![s] = Server(TRUE)]
    /\ plock' = [plock EXCEPT ![Inode(c)] = s]
    /\ port' = [port EXCEPT ![s] = "none"]
    /\ from' = [from EXCEPT ![s] = PlaceOf(c)]

\* The record is dead.
Clear(c) ==
    /\ In(c, "Clear")
    /\ file' = Written(c, "Empty")
    /\ (IF cl[c].goal = "Serve" THEN ByHand(c)
        ELSE cl' = [cl EXCEPT ![c].pc = "Spawn"] /\ UNCHANGED <<sv, plock, port, from>>)
    /\ UNCHANGED <<conn, cur, life, stopped, left, clean, rounds, leaked, tries>>

\* Starts a process with a cookie that nothing refers to.
Spawn(c) ==
    /\ In(c, "Spawn")
    /\ LET s == UnusedFor(c)
           awaits == [Forgets(c, s) EXCEPT !.pc = "Await", !.child = s, !.starts = @ + 1]
       IN /\ sv' = [sv EXCEPT ![s] = Server(FALSE)]
          /\ port' = [port EXCEPT ![s] = "none"]
          /\ from' = [from EXCEPT ![s] = PlaceOf(c)]
          /\ cl' = [x \in Clients |-> IF x = c THEN awaits ELSE Forgets(x, s)]
    /\ UNCHANGED <<conn, point, life, stopped, left, clean, rounds, leaked, tries>>

\* Waits for the child's reply, its exit or the end of its budget. A reply counts before an exit, but a child that said
\* ready and is seen to be gone has failed.
Await(c) ==
    /\ In(c, "Await")
    /\ LET s     == cl[c].child
           reply == sv[s].reply
           attempt == [cl[c] EXCEPT !.then = "Backoff", !.starts = @ - 1]
       IN \/ reply = "Ready" /\ cl' = [cl EXCEPT ![c].pc = "Verify"]
          \/ reply = "Busy" /\ cl' = [cl EXCEPT ![c] = KillOr(attempt, TRUE)]
          \/ reply \in {"Failed", "Nonsense"} /\ cl' = [cl EXCEPT ![c] = KillOr(Failed(c, cl[c]), TRUE)]
          \/ reply = "Ready" /\ sv[s].pc = "Free" /\ cl' = [cl EXCEPT ![c] = KillOr(Failed(c, cl[c]), TRUE)]
          \/ reply = "" /\ (~Alive(s) \/ sv[s].hung \/ s \in stopped)
             /\ cl' = [cl EXCEPT ![c] = KillOr(Failed(c, cl[c]), TRUE)]
    /\ UNCHANGED <<sv, conn, point, life, env>>

\* The child must hold the lifetime lock now.
Verify(c) ==
    /\ In(c, "Verify")
    /\ cl' = [cl EXCEPT ![c] = IF ~Unheld THEN [cl[c] EXCEPT !.pc = "Write"]
                               ELSE KillOr(Ends(cl[c], "Unverified"), TRUE)]
    /\ UNCHANGED <<sv, conn, point, life, env>>

Write(c) ==
    /\ In(c, "Write")
    /\ file' = Written(c, cl[c].child)
    /\ cl' = [cl EXCEPT ![c].pc = "Confirm"]
    /\ UNCHANGED <<sv, conn, plock, cur, life, env>>

\* The order has no answer: the dial shows whether it arrived.
Confirm(c) ==
    /\ In(c, "Confirm")
    /\ LET s == cl[c].child
       IN /\ sv' = [sv EXCEPT ![s] = IF Alive(s) THEN [@ EXCEPT !.pipe = "reg", !.reply = ""]
                                     ELSE IF sv[s].pc = "Free" THEN FreeSlot ELSE @]
          /\ DialHolding(c, [cl[c] EXCEPT !.rec = s, !.child = None])
    /\ UNCHANGED <<conn, life, env>>

\* Looks again before the client serves in its own process.
Fallback(c) ==
    /\ In(c, "Fallback")
    /\ LET free == Inode(c) = cur /\ Unheld
           unlock == [cl[c] EXCEPT !.pc = "Unlock"]
       IN cl' = [cl EXCEPT ![c] = IF free THEN Ends(unlock, "Internal")
                                  ELSE [unlock EXCEPT !.then = "Backoff"]]
    /\ UNCHANGED <<sv, conn, point, life, env>>

\* The client does not wait for the exit: a killed process takes a while to die and holds its locks meanwhile.
Kill(c) ==
    /\ In(c, "Kill")
    /\ LET s == cl[c].child IN
       sv' = [sv EXCEPT ![s] = IF sv[s].pc = "Free" THEN FreeSlot ELSE [@ EXCEPT !.pc = "Dying"]]
    /\ stopped' = stopped \ {cl[c].child}
    /\ cl' = [cl EXCEPT ![c] = KillOr([cl[c] EXCEPT !.child = None], FALSE)]
    /\ UNCHANGED <<conn, point, life, port, from, left, clean, rounds, leaked, tries>>

Unlocked(c) ==
    LET then    == cl[c].then
        attempt == [cl[c] EXCEPT !.pc = IF then = "Wait" THEN "Wait" ELSE "Backoff", !.then = "", !.free = FALSE,
                                 !.again = @ \/ then = "Again"]
    IN IF then \in {"Backoff", "Again", "Wait"} THEN attempt ELSE Over(c, then)

Unlock(c) ==
    /\ In(c, "Unlock")
    /\ LetGo(c, file)
    /\ cl' = [cl EXCEPT ![c] = Unlocked(c)]
    /\ UNCHANGED <<sv, conn, life, env>>

\* Waits while holding nothing. This does not count as an attempt.
Backoff(c) ==
    /\ In(c, "Backoff")
    /\ cl' = [cl EXCEPT ![c].pc = "Read"]
    /\ UNCHANGED <<sv, conn, point, life, env>>

\* Waits, while holding nothing, for longer than a server needs to check its files: the shorter period, by which a server
\* checks to which changes are not certain to be reported. Only a stopped server takes longer. The server may still have to
\* read that it is registered.
Wait(c) ==
    /\ In(c, "Wait")
    /\ ~\E s \in Slots : (Serving(s) \/ sv[s].pipe = "reg") /\ s \notin stopped /\ LifeFileGone(s)
    /\ cl' = [cl EXCEPT ![c].pc = "Read", ![c].waited = TRUE]
    /\ UNCHANGED <<sv, conn, point, life, env>>

(***************************************************************************)
(* A dial: Dial, Hello, Prove, Welcome. Every failure is a suspicion, but  *)
(* for a server that proved itself and is too old.                         *)
(* Time is not modelled: patience ends only where a fault explains it.     *)
(***************************************************************************)

Suspecting(c) ==
    LET attempt == [cl[c] EXCEPT !.suspect = cl[c].rec, !.rec = None, !.how = "Free",
                               !.waited = @ /\ cl[c].suspect = cl[c].rec] IN
    CASE Holding(c)                                -> [attempt EXCEPT !.pc = "Probe", !.row = "Suspected"]
      [] ~Holding(c) /\ cl[c].goal = "Internal"    -> Over(c, "Internal")
      [] ~Holding(c) /\ cl[c].goal # "Internal"    -> [attempt EXCEPT !.pc = "Lock"]

\* The dial failed.
Suspect(c) ==
    /\ cl' = [cl EXCEPT ![c] = Suspecting(c)]
    /\ conn' = [conn EXCEPT ![c] = NoConn]

Moves(c, pc, st) ==
    /\ cl' = [cl EXCEPT ![c].pc = pc]
    /\ conn' = [conn EXCEPT ![c].st = st]

\* The reasons why no answer comes within patience: the server is stopped or dies, a silent stranger has its port, or it
\* is not registered and its spawner is stopped.
Silent(s) ==
    \/ sv[s].pc = "Free" /\ port[s] = "silent"
    \/ sv[s].pc = "Dying" \/ s \in stopped
    \/ ~sv[s].reg /\ \E c \in stopped : c \in Clients /\ cl[c].child = s

\* The end of a dial that ends the connect as well.
Ended(c, out) == IF Holding(c) THEN Ends([cl[c] EXCEPT !.pc = "Unlock", !.rec = None, !.how = "Free"], out)
                               ELSE Over(c, out)
TooOld(c) ==
    /\ cl' = [cl EXCEPT ![c] = Ended(c, "TooOld")]
    /\ conn' = [conn EXCEPT ![c] = NoConn]

\* Silence is a suspicion.
Patience(c) == Silent(cl[c].rec) /\ Suspect(c)

Connected(c) ==
    LET s == cl[c].rec IN
    IF sv[s].listen \/ (sv[s].pc = "Free" /\ port[s] # "none")
    THEN /\ cl' = [cl EXCEPT ![c].pc = "Hello"]
         /\ conn' = [conn EXCEPT ![c] = [to |-> s, st |-> "open", eof |-> FALSE]]
    ELSE Suspect(c)

Dial(c) ==
    /\ In(c, "Dial")
    /\ tries' = IF Calm THEN [tries EXCEPT ![c] = @ + 1] ELSE tries
    /\ Connected(c)
    /\ UNCHANGED <<sv, point, life, port, from, stopped, left, clean, rounds, leaked>>

Hello(c) ==
    /\ In(c, "Hello")
    /\ IF conn[c].eof THEN Suspect(c) ELSE Moves(c, "Prove", "hello")
    /\ UNCHANGED <<sv, point, life, env>>

\* A process that answers at a port and is not the server of this point. It does not know the cookie; or it does, because
\* the record was copied from its point, and proves the identity of that point.
Lies(c) == sv[conn[c].to].pc = "Free" /\ port[conn[c].to] \in {"liar", "original"}
HasProof(c)   == conn[c].st = "proof"
HasWelcome(c) == conn[c].st = "welcome"

\* Checks the server's proof and answers with the client's own.
Prove(c) ==
    /\ In(c, "Prove")
    /\ \/ /\ HasProof(c) /\ ~conn[c].eof
          /\ IF Refuses(c, cl[c].rec) THEN TooOld(c) ELSE Moves(c, "Welcome", "proved")
       \/ conn[c].eof /\ Suspect(c)
       \/ Lies(c) /\ Suspect(c)
       \/ Patience(c)
    /\ UNCHANGED <<sv, point, life, env>>

\* An older server will retire. The client waits for the lifetime lock like any other.
Asked(c) == [cl[c] EXCEPT !.pc = IF Holding(c) THEN "Unlock" ELSE "Backoff", !.then = IF Holding(c) THEN "Backoff" ELSE "",
                          !.asked = <<cl[c].rec>>, !.rec = None, !.how = "Free"]

\* A server that proved itself and has no room is alive: the client dials it again and holds no lock meanwhile.
Waiting(c) == [cl[c] EXCEPT !.pc = IF Holding(c) THEN "Unlock" ELSE "Backoff", !.then = IF Holding(c) THEN "Again" ELSE "",
                            !.again = ~Holding(c), !.suspect = cl[c].rec, !.rec = None, !.how = "Free",
                            !.waited = @ /\ cl[c].suspect = cl[c].rec]

Welcome(c) ==
    /\ In(c, "Welcome")
    /\ \/ /\ HasWelcome(c)
          /\ IF Replaces(c, cl[c].rec)
             THEN cl' = [cl EXCEPT ![c] = Asked(c)] /\ conn' = [conn EXCEPT ![c] = NoConn]
             ELSE cl' = [cl EXCEPT ![c] = Ended(c, "Welcomed")] /\ conn' = conn
       \/ conn[c].st = "full" /\ cl' = [cl EXCEPT ![c] = Waiting(c)] /\ conn' = [conn EXCEPT ![c] = NoConn]
       \/ conn[c].eof /\ Suspect(c)
       \/ conn[c].st \notin {"welcome", "full"} /\ Patience(c)
    /\ UNCHANGED <<sv, point, life, env>>

(***************************************************************************)
(* The server, from a lifetime lock to its release.                        *)
(*                                                                         *)
(*   Watch -> Claim -> Build -> Listen -> Ready -> Registered -> Serve     *)
(*   by hand: Claim -> Build -> Listen -> ServerWrite -> ServerUnlock      *)
(*   Serve -> Check -> ServerLock -> Recheck -> Restore -> ServerUnlock    *)
(*   Serve -> ServerLock -> Look -> Withdraw -> Close -> ServerUnlock      *)
(*         -> Drain -> Release                                             *)
(***************************************************************************)

\* The process is gone. Its reply is still in the pipe.
Gone(s, reply) == IF \E c \in Clients : cl[c].child = s THEN [FreeSlot EXCEPT !.reply = reply] ELSE FreeSlot
Closed(s) == [c \in Clients |-> IF conn[c].to # s THEN conn[c]
                               ELSE IF cl[c].pc = "Done" THEN NoConn ELSE [conn[c] EXCEPT !.eof = TRUE]]

At(s, pc) == sv[s].pc = pc /\ s \notin stopped
Goes(s, pc) == sv' = [sv EXCEPT ![s].pc = pc]

Watch(s) == At(s, "Watch") /\ Goes(s, "Claim") /\ UNCHANGED <<cl, conn, point, life, env>>

Refused(s, why) == sv' = [sv EXCEPT ![s].pc = IF sv[s].hand THEN "Unlock" ELSE "Refuse", ![s].then = why]

\* Tries until half of the budget is over: an orphan, or a predecessor that drains, may still hold the lock.
Claim(s) ==
    /\ At(s, "Claim")
    /\ (IF Unheld THEN Goes(s, "Build") /\ life' = s ELSE Refused(s, "Busy") /\ life' = life)
    /\ UNCHANGED <<cl, conn, point, env>>

Build(s) ==
    /\ At(s, "Build")
    /\ \/ ~sv[s].hung /\ Goes(s, "Listen")
       \/ sv[s].hung /\ sv[s].hand /\ Refused(s, "Failed")
    /\ UNCHANGED <<cl, conn, point, life, env>>

\* Listens at a socket of its own. All other sockets of this point are dead servers'.
Listen(s) ==
    /\ At(s, "Listen")
    /\ (IF Findable(s) THEN sv' = [Swept EXCEPT ![s].pc = IF sv[s].hand THEN "Write" ELSE "Ready", ![s].listen = TRUE]
        ELSE Refused(s, "Failed"))
    /\ UNCHANGED <<cl, conn, point, life, env>>

Ready(s) ==
    /\ At(s, "Ready")
    /\ sv' = [sv EXCEPT ![s].pc = "Registered", ![s].reply = "Ready"]
    /\ UNCHANGED <<cl, conn, point, life, env>>

Opened(s, pc) == [sv[s] EXCEPT !.pc = pc, !.reg = TRUE, !.open = TRUE]

Registered(s) ==
    /\ At(s, "Registered")
    /\ sv[s].pipe = "reg"
    /\ sv' = [sv EXCEPT ![s] = [Opened(s, "Serve") EXCEPT !.pipe = "none"]]
    /\ UNCHANGED <<cl, conn, point, life, env>>

\* Only a server by hand writes its own record.
ServerWrite(s) ==
    /\ At(s, "Write")
    /\ file' = Written(s, s)
    /\ sv' = [sv EXCEPT ![s] = [Opened(s, "Unlock") EXCEPT !.then = "Serve"]]
    /\ UNCHANGED <<cl, conn, plock, cur, life, env>>

Refuse(s) ==
    /\ At(s, "Refuse")
    /\ sv' = [sv EXCEPT ![s] = IF sv[s].then = "Failed" THEN [@ EXCEPT !.pc = "Release", !.reply = "Failed"]
                              ELSE Gone(s, "Busy")]
    /\ UNCHANGED <<cl, conn, point, life, env>>

\* The process ends when its spawner ends, or, by a thread that nothing else blocks, when its budget is over, unless it is
\* registered.
Watchdog(s) ==
    /\ sv[s].pc \in {"Watch", "Claim", "Build", "Listen", "Ready", "Registered"}
    /\ ~sv[s].hand /\ s \notin stopped
    /\ LET spawners == {c \in Clients : cl[c].child = s}
       IN \/ sv[s].pipe = "eof"
          \/ sv[s].pipe = "kept" /\ spawners = {}
          \/ sv[s].pipe # "reg" /\ (sv[s].hung \/ spawners \cap stopped # {})
    /\ Goes(s, "Dying")
    /\ UNCHANGED <<cl, conn, point, life, env>>

\* One question with several answers. A check may come at any time: because the period is over, or because the system has
\* reported a change of the files. A check that would find nothing wrong is left out: it changes nothing. So no step of
\* this specification says how long the period is. Fairness asks only that a check comes in the end, and Wait that a
\* client waits longer than that: see Limits in docs/protocol.md.
Serve(s) ==
    /\ At(s, "Serve")
    /\ \/ sv[s].requested /\ sv' = [sv EXCEPT ![s].pc = "Lock", ![s].purpose = "Requested"]
       \/ ~sv[s].requested /\ (file[cur] # s \/ ~sv[s].listen \/ LifeFileGone(s)) /\ Goes(s, "Check")
       \/ ~sv[s].requested /\ Counted(s) = {} /\ sv' = [sv EXCEPT ![s].pc = "Lock", ![s].purpose = "Idle"]
    /\ UNCHANGED <<cl, conn, point, life, env>>

Hangup(s, these) == [c \in Clients |-> IF c \in these /\ conn[c].to = s THEN [conn[c] EXCEPT !.eof = TRUE] ELSE conn[c]]

\* The clients that a server may hang up on when it makes its socket again: those that wait at the old one.
Unheard(s) == IF sv[s].listen THEN {} ELSE {c \in Clients : conn[c].st \in {"open", "hello"}}

\* The table of life file x record. A server whose life file another holds is lost. One that nobody holds it makes and
\* locks again.
Checked(s, found) ==
    IF LifeFileGone(s) THEN (IF found \in Others \/ ~Unheld THEN "Lost" ELSE "LifeFileGone")
    ELSE IF found = s THEN "Mine" ELSE IF found \in Others THEN "Lost" ELSE "Damaged"

Leaves(s, why) == [sv[s] EXCEPT !.pc = "Look", !.why = why, !.held = FALSE, !.purpose = "", !.then = ""]

\* A server whose socket is gone makes it again: no other server has its name.
ListensAgain(checked) == checked # "Lost"

\* It repairs the point and the life file under the point lock.
Repairs(slot) == [slot EXCEPT !.pc = "Lock", !.purpose = "Restore"]

Check(s) ==
    /\ At(s, "Check")
    /\ LET checked == Checked(s, file[cur])
           again   == ListensAgain(checked)
           heard   == [sv[s] EXCEPT !.listen = @ \/ again]
       IN /\ \E some \in SUBSET (IF again THEN Unheard(s) ELSE {}) : conn' = Hangup(s, some)
          /\ sv' = [sv EXCEPT ![s] =
              CASE checked = "Lost" -> Leaves(s, "Lost")
                [] checked = "Mine" -> [heard EXCEPT !.pc = "Serve"]
                [] checked \in {"Damaged", "LifeFileGone"} -> Repairs(heard)]
    /\ UNCHANGED <<cl, point, life, env>>

\* One try of the point lock. An idle server retires only under it, and serves on if it is busy. To restore, or on request,
\* a server tries again.
WithLock(s) ==
    IF sv[s].purpose = "Restore" THEN [sv[s] EXCEPT !.pc = "Recheck", !.purpose = ""]
    ELSE [Leaves(s, sv[s].purpose) EXCEPT !.held = TRUE]
WhenBusy(s) ==
    IF sv[s].purpose = "Idle" THEN [sv[s] EXCEPT !.pc = "Serve", !.purpose = ""] ELSE [sv[s] EXCEPT !.pc = "Backoff"]

ServerLock(s) ==
    /\ At(s, "Lock")
    /\ (IF plock[cur] = None
        THEN sv' = [sv EXCEPT ![s] = WithLock(s)] /\ plock' = [plock EXCEPT ![cur] = s]
        ELSE sv' = [sv EXCEPT ![s] = WhenBusy(s)] /\ plock' = plock)
    /\ UNCHANGED <<cl, conn, file, cur, life, env>>

ServerBackoff(s) ==
    /\ At(s, "Backoff")
    /\ sv' = [sv EXCEPT ![s].pc = "Lock", ![s].purpose = IF sv[s].requested THEN "Requested" ELSE @]
    /\ UNCHANGED <<cl, conn, point, life, env>>

Recheck(s) ==
    /\ At(s, "Recheck")
    /\ LET checked == Checked(s, Mine(s))
       IN sv' = [sv EXCEPT ![s] =
              CASE checked = "Damaged" -> [@ EXCEPT !.pc = "Restore"]
                [] checked = "LifeFileGone"  -> [@ EXCEPT !.pc = "Reclaim"]
                [] checked = "Mine"    -> [@ EXCEPT !.pc = "Unlock", !.then = "Serve"]
                [] checked = "Lost"    -> [@ EXCEPT !.pc = "Unlock", !.then = "Lost"]]
    /\ UNCHANGED <<cl, conn, point, life, env>>

\* Makes the life file again and locks it, as Claim does.
Reclaim(s) ==
    /\ At(s, "Reclaim")
    /\ (IF Unheld THEN Goes(s, "Recheck") /\ life' = s
        ELSE sv' = [sv EXCEPT ![s].pc = "Unlock", ![s].then = "Lost"] /\ life' = life)
    /\ UNCHANGED <<cl, conn, point, env>>

Restore(s) ==
    /\ At(s, "Restore")
    /\ file' = Written(s, s)
    /\ sv' = [sv EXCEPT ![s].pc = "Unlock", ![s].then = "Serve"]
    /\ UNCHANGED <<cl, conn, plock, cur, life, env>>

\* A server that is only idle stays if it counts a client.
Stays(s) == sv[s].why = "Idle" /\ Counted(s) # {}

\* Looks a last time, and shuts the gate.
Look(s) ==
    /\ At(s, "Look")
    /\ LET held == sv[s].held
           stay == [sv[s] EXCEPT !.why = "", !.held = FALSE]
       IN sv' = [sv EXCEPT ![s] =
              CASE Stays(s) /\ held   -> [stay EXCEPT !.pc = "Unlock", !.then = "Serve"]
                [] Stays(s) /\ ~held  -> [stay EXCEPT !.pc = "Serve"]
                [] ~Stays(s) /\ held  -> [@ EXCEPT !.pc = "Withdraw", !.open = FALSE]
                [] ~Stays(s) /\ ~held -> [@ EXCEPT !.pc = "Close", !.open = FALSE]]
    /\ UNCHANGED <<cl, conn, point, life, env>>

\* A server withdraws only its own record.
Withdraw(s) ==
    /\ At(s, "Withdraw")
    /\ file' = IF Mine(s) = s THEN Written(s, "Empty") ELSE file
    /\ Goes(s, "Close")
    /\ UNCHANGED <<cl, conn, plock, cur, life, env>>

\* Stops listening and hangs up on all clients that were not welcomed. The lifetime lock stays held until the server is
\* drained.
Close(s) ==
    /\ At(s, "Close")
    /\ sv' = [sv EXCEPT ![s].pc = IF sv[s].held THEN "Unlock" ELSE "Drain", ![s].then = IF sv[s].held THEN "Drain" ELSE "",
                        ![s].listen = FALSE, ![s].mute = FALSE, ![s].held = FALSE]
    /\ conn' = Hangup(s, {c \in Clients : conn[c].st # "welcome"})
    /\ UNCHANGED <<cl, point, life, env>>

ServerUnlock(s) ==
    /\ At(s, "Unlock")
    /\ LetGo(s, file)
    /\ LET then == sv[s].then
           next == [sv[s] EXCEPT !.then = ""]
       IN sv' = [sv EXCEPT ![s] =
              CASE then = "Serve"  -> [next EXCEPT !.pc = "Serve"]
                [] then = "Lost"   -> Leaves(s, "Lost")
                [] then = "Drain"  -> [next EXCEPT !.pc = "Drain"]
                [] then = "Busy"   -> Gone(s, "")
                [] then = "Failed" -> [sv[s] EXCEPT !.pc = "Release"]]
    /\ UNCHANGED <<cl, conn, life, env>>

\* A server whose life file another has locked is in nobody's way. So it may let its sessions live, if the service wants
\* that.
KeepsSessions(s) == WhenLost = "keep" /\ sv[s].why = "Lost" /\ ~Unheld /\ life # s

\* Hangs up on the clients that are left at the drain deadline. A server that keeps its sessions has none.
HasDrainDeadline(s) == ~KeepsSessions(s)
Drain(s) ==
    /\ At(s, "Drain") /\ (HasDrainDeadline(s) \/ Counted(s) = {})
    /\ conn' = Hangup(s, Counted(s))
    /\ Goes(s, "Release")
    /\ UNCHANGED <<cl, point, life, env>>

Release(s) ==
    /\ At(s, "Release")
    /\ life' = IF life = s THEN None ELSE life
    /\ sv' = [sv EXCEPT ![s] = Gone(s, sv[s].reply)]
    /\ conn' = Closed(s)
    /\ UNCHANGED <<cl, point, env>>

\* A killed process takes a while to die. Then the system releases its locks and closes its files.
Exit(s) ==
    /\ sv[s].pc = "Dying"
    /\ sv' = [sv EXCEPT ![s] = Gone(s, sv[s].reply)]
    /\ conn' = Closed(s)
    /\ life' = IF life = s THEN None ELSE life
    /\ LetGo(s, file)
    /\ stopped' = stopped \ {s}
    /\ UNCHANGED <<cl, port, from, left, clean, rounds, leaked, tries>>

(***************************************************************************)
(* The server's side of a handshake. A server proves nothing before it is  *)
(* registered. It verifies a client's proof, counts the client and sends   *)
(* the welcome in one step, which is possible only while it serves.        *)
(***************************************************************************)

\* A server answers connected clients even if its socket is gone. Close hangs up on those that it did not welcome.
Greets(s) ==
    /\ Alive(s) /\ s \notin stopped
    /\ sv[s].reg

Answer(s, c) ==
    /\ Greets(s) /\ conn[c].to = s /\ conn[c].st = "hello" /\ ~conn[c].eof
    /\ conn' = [conn EXCEPT ![c].st = "proof"]
    /\ UNCHANGED <<cl, sv, point, life, env>>

\* Nobody is admitted once the gate is shut.
Admits(s) == sv[s].open
Admit(s, c) ==
    /\ Greets(s) /\ conn[c].to = s /\ conn[c].st = "proved" /\ ~conn[c].eof
    /\ conn' = [conn EXCEPT ![c] = IF Admits(s) THEN [@ EXCEPT !.st = "welcome"] ELSE [@ EXCEPT !.eof = TRUE]]
    /\ sv' = [sv EXCEPT ![s].requested = @ \/ (Admits(s) /\ (cl[c].goal = "Retire" \/ Replaces(c, s)))]
    /\ UNCHANGED <<cl, point, life, env>>

\* Hangs up on a client that does not complete the handshake in time.
Dismiss(s, c) ==
    /\ Greets(s) /\ c \in stopped /\ conn[c].to = s /\ conn[c].st \in {"open", "proof"} /\ ~conn[c].eof
    /\ conn' = [conn EXCEPT ![c].eof = TRUE]
    /\ UNCHANGED <<cl, sv, point, life, env>>

(***************************************************************************)
(* Faults. Each has a name, and costs one of the budget.                   *)
(***************************************************************************)

Fault(kind) ==
    /\ kind \in Faults /\ left > 0
    /\ left' = left - 1
    /\ clean' = {}
    /\ tries' = [c \in Clients |-> 0]
    /\ UNCHANGED <<rounds, leaked>>

\* The order pipe of a child ends when its spawner is gone. A child that is killed dies.
Orphan(slot) == IF slot.pc = "Free" THEN FreeSlot
                ELSE [slot EXCEPT !.pipe = IF @ = "open" THEN "eof" ELSE @, !.reply = ""]
Victim(slot) == IF slot.pc = "Free" THEN FreeSlot ELSE [slot EXCEPT !.pc = "Dying", !.reply = ""]
Orphaned(c)  == [s \in Slots |-> IF s = cl[c].child THEN Orphan(sv[s]) ELSE sv[s]]
Killed(c)    == [s \in Slots |-> IF s = cl[c].child THEN Victim(sv[s]) ELSE sv[s]]

KillClient(c) ==
    /\ cl[c].pc \notin {"Out", "Done"}
    /\ Fault("kill client")
    /\ cl' = [cl EXCEPT ![c] = Idler]
    /\ sv' = Orphaned(c)
    /\ conn' = [conn EXCEPT ![c] = NoConn]
    /\ LetGo(c, file)
    /\ stopped' = stopped \ {c}
    /\ UNCHANGED <<life, port, from>>

KillServer(s) ==
    /\ Alive(s)
    /\ Fault("kill server")
    /\ Goes(s, "Dying")
    /\ stopped' = stopped \ {s}
    /\ UNCHANGED <<cl, conn, point, life, port, from>>

StopClient(c) ==
    /\ cl[c].pc \notin {"Out", "Done"} /\ c \notin stopped
    /\ Fault("stop client")
    /\ stopped' = stopped \cup {c}
    /\ UNCHANGED <<cl, sv, conn, point, life, port, from>>

StopServer(s) ==
    /\ Alive(s) /\ s \notin stopped
    /\ Fault("stop server")
    /\ stopped' = stopped \cup {s}
    /\ UNCHANGED <<cl, sv, conn, point, life, port, from>>

Continue(x) ==
    /\ x \in stopped
    /\ stopped' = stopped \ {x}
    /\ UNCHANGED <<cl, sv, conn, point, life, port, from, left, clean, rounds, leaked, tries>>

MayGiveUp(c)  == cl[c].pc \notin {"Out", "Done"} /\ c \notin stopped
TakenBack(c)  == IF cl[c].pc = "Confirm" THEN Written(c, "Empty") ELSE file

\* The deadline is over, or the caller gave up: the client releases everything that it holds, at any step. It ends its child,
\* and takes back the record that it wrote.
GivenUp(c, out) ==
    /\ MayGiveUp(c)
    /\ cl' = [cl EXCEPT ![c] = Over(c, out)]
    /\ sv' = Killed(c)
    /\ conn' = [conn EXCEPT ![c] = NoConn]
    /\ LetGo(c, TakenBack(c))
    /\ stopped' = stopped \ {cl[c].child}
    /\ UNCHANGED <<life, port, from>>

Giveup(c) == Fault("deadline") /\ GivenUp(c, "Deadline")

\* The client's own shortage (no descriptors, memory or disk space) ends the connect at once.
Trouble(c) ==
    /\ cl[c].pc \in {"Read", "Lock", "Reread", "Clear", "Spawn", "Await", "Write", "Dial", "Hello", "Prove", "Welcome"}
    /\ Fault("shortage")
    /\ GivenUp(c, "Trouble")

\* The lifetime lock cannot be probed.
CannotTell(c) ==
    /\ In(c, "Probe")
    /\ Fault("shortage")
    /\ LET out == CASE cl[c].row = "Dialect" -> "OtherDialect"
                    [] cl[c].row = "Foreign" -> "ForeignScope"
                    [] OTHER -> "CannotTell"
       IN cl' = [cl EXCEPT ![c] = Ends([cl[c] EXCEPT !.pc = "Unlock", !.row = ""], out)]
    /\ UNCHANGED <<sv, conn, point, life, port, from, stopped>>

\* A server cannot try the point lock: an idle one retires without withdrawing its record.
CannotLock(s) ==
    /\ At(s, "Lock") /\ sv[s].purpose = "Idle"
    /\ Fault("shortage")
    /\ sv' = [sv EXCEPT ![s] = Leaves(s, "Idle")]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

\* The life file cannot be made: the next Check tries again.
CannotReclaim(s) ==
    /\ At(s, "Reclaim")
    /\ Fault("shortage")
    /\ sv' = [sv EXCEPT ![s].pc = "Unlock", ![s].then = "Serve"]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

\* A server waited for the point lock for as long as it may. A client that meets a drain longer than its own connect ends
\* by its deadline, which is no fault of the protocol: NoSpuriousError is of runs in which no deadline is over.
Overdue(s) ==
    /\ At(s, "Backoff")
    /\ Fault("deadline")
    /\ sv' = [sv EXCEPT ![s] = IF sv[s].purpose = "Requested" THEN Leaves(s, "Requested") ELSE [@ EXCEPT !.pc = "Serve", !.purpose = ""]]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

TooLate(c) ==
    /\ In(c, "Clear")
    /\ Fault("deadline")
    /\ cl' = [cl EXCEPT ![c] = Ends([cl[c] EXCEPT !.pc = "Unlock"], "TooLate")]
    /\ UNCHANGED <<sv, conn, point, life, port, from, stopped>>

\* The point holds half a record or a flipped bit, nothing, another's record, an old copy, or is gone.
Damage(contents) ==
    /\ \E content \in contents \ {file[cur]} : file' = [file EXCEPT ![cur] = content]
    /\ UNCHANGED <<cl, sv, conn, plock, cur, life, port, from, stopped>>

\* The servers whose record was in the file once: those that are or were registered. Unused stands for forgotten ones.
Copied(s) == sv[s].reg \/ (sv[s].pc = "Free" /\ Refers(s) /\ \A c \in Clients : cl[c].child # s)

Tear    == Fault("torn") /\ Damage({"Torn"})
Empty   == Fault("emptied") /\ Damage({"Empty"})
Strange == Fault("foreign") /\ Damage(Others)
PutBack == Fault("old copy") /\ Damage({s \in Slots : Copied(s)} \cup {Unused})

Delete ==
    /\ Fault("deleted")
    /\ (IF plock[cur] = None
        THEN cur' = cur /\ file' = [file EXCEPT ![cur] = "Empty"]
        ELSE plock[1 - cur] = None /\ cur' = 1 - cur /\ file' = [file EXCEPT ![1 - cur] = "Empty"])
    /\ UNCHANGED <<cl, sv, conn, plock, life, port, from, stopped>>

\* The file of a server's socket is removed or replaced: no client reaches the server any more.
Unlink(s) ==
    /\ Alive(s) /\ sv[s].listen
    /\ Fault("unlinked")
    /\ sv' = [sv EXCEPT ![s].listen = FALSE]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

\* The life file is removed, for example by a cleaner; or replaced by another, which nobody has locked.
Vanish ==
    /\ life # Absent
    /\ Fault("life removed")
    /\ life' = Absent
    /\ UNCHANGED <<cl, sv, conn, point, port, from, stopped>>

Replace ==
    /\ ~Unheld
    /\ Fault("life replaced")
    /\ life' = None
    /\ UNCHANGED <<cl, sv, conn, point, port, from, stopped>>

\* A process that says nothing, or something else, takes a dead server's port.
Stranger(s) ==
    /\ sv[s].pc = "Free" /\ Refers(s) /\ port[s] = "none"
    /\ Fault("stranger")
    /\ \E manner \in {"silent", "liar"} : port' = [port EXCEPT ![s] = manner]
    /\ UNCHANGED <<cl, sv, conn, point, life, from, stopped>>

\* The point holds a copy of another point's record: this home was copied, or the file of another service. The server of
\* that record lives and knows the cookie.
Copy ==
    /\ Fault("copied")
    /\ LET s == Unused IN file' = [file EXCEPT ![cur] = s] /\ port' = [port EXCEPT ![s] = "original"]
    /\ UNCHANGED <<cl, sv, conn, plock, cur, life, from, stopped>>

\* The server has no room for another client, says so, and proves it.
Full(s, c) ==
    /\ Greets(s) /\ conn[c].to = s /\ conn[c].st = "proved" /\ ~conn[c].eof
    /\ sv[s].open /\ cl[c].goal \in Connects
    /\ Fault("full")
    /\ conn' = [conn EXCEPT ![c].st = "full"]
    /\ UNCHANGED <<cl, sv, point, life, port, from, stopped>>

\* A process connects to a server and says nothing.
MuteClient(s) ==
    /\ sv[s].listen /\ Alive(s) /\ ~sv[s].mute
    /\ Fault("mute client")
    /\ sv' = [sv EXCEPT ![s].mute = TRUE]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

\* The backlog is full for longer than patience.
Backlog(c) ==
    /\ In(c, "Dial") /\ sv[cl[c].rec].listen
    /\ Fault("backlog")
    /\ Suspect(c)
    /\ UNCHANGED <<sv, point, life, port, from, stopped>>

\* The program cannot be executed, has no handler, hangs, or prints nonsense. KillServer has its death.
CannotStart(c) ==
    /\ In(c, "Spawn")
    /\ Fault("cannot start")
    /\ cl' = [cl EXCEPT ![c] = KillOr(Failed(c, cl[c]), FALSE)]
    /\ UNCHANGED <<sv, conn, point, life, port, from, stopped>>

NoHandler(s) ==
    /\ At(s, "Build") \/ At(s, "Listen")
    /\ Fault("fails")
    /\ Refused(s, "Failed")
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

Hang(s) ==
    /\ At(s, "Build") /\ ~sv[s].hung
    /\ Fault("hangs")
    /\ sv' = [sv EXCEPT ![s].hung = TRUE]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

Nonsense(s) ==
    /\ At(s, "Ready")
    /\ Fault("nonsense")
    /\ sv' = [sv EXCEPT ![s].pc = "Registered", ![s].reply = "Nonsense"]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

\* A fork of the spawner keeps the order pipe open, which then does not end with the spawner.
Keep(s) ==
    /\ sv[s].pipe = "open"
    /\ Fault("pipe kept")
    /\ sv' = [sv EXCEPT ![s].pipe = "kept"]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

(***************************************************************************)
(* The next-state relation and fairness.                                   *)
(***************************************************************************)

Client(c) ==
    \/ Read(c) \/ Lock(c) \/ Reread(c) \/ Probe(c) \/ Clear(c) \/ Spawn(c) \/ Await(c) \/ Verify(c) \/ Write(c)
    \/ Confirm(c) \/ Fallback(c) \/ Kill(c) \/ Unlock(c) \/ Backoff(c) \/ Wait(c) \/ Dial(c) \/ Hello(c) \/ Prove(c) \/ Welcome(c)

Process(s) ==
    \/ Watch(s) \/ Claim(s) \/ Build(s) \/ Listen(s) \/ Ready(s) \/ Registered(s) \/ ServerWrite(s) \/ Refuse(s)
    \/ Check(s) \/ ServerLock(s) \/ ServerBackoff(s) \/ Recheck(s) \/ Reclaim(s) \/ Restore(s) \/ Look(s) \/ Withdraw(s)
    \/ Close(s) \/ ServerUnlock(s) \/ Drain(s) \/ Release(s)

Greeting(s, c) == Answer(s, c) \/ Admit(s, c) \/ Dismiss(s, c)

ClientFault(c) ==
    \/ KillClient(c) \/ StopClient(c) \/ Giveup(c) \/ TooLate(c) \/ Trouble(c) \/ CannotTell(c) \/ CannotStart(c) \/ Backlog(c)

ServerFault(s) ==
    \/ KillServer(s) \/ StopServer(s) \/ CannotLock(s) \/ CannotReclaim(s) \/ Overdue(s) \/ Unlink(s) \/ Stranger(s) \/ MuteClient(s) \/ NoHandler(s)
    \/ Hang(s) \/ Nonsense(s) \/ Keep(s)

FileFault == Copy \/ Tear \/ Empty \/ Strange \/ PutBack \/ Delete \/ Vanish \/ Replace

Next ==
    \/ \E c \in Clients : Begin(c) \/ Leave(c) \/ Client(c) \/ ClientFault(c)
    \/ \E s \in Slots : Process(s) \/ Serve(s) \/ Watchdog(s) \/ Exit(s) \/ ServerFault(s)
    \/ \E s \in Slots, c \in Clients : Greeting(s, c) \/ Full(s, c)
    \/ \E x \in Clients \cup Slots : Continue(x)
    \/ FileFault

Safe == Init /\ [][Next]_vars

\* A running process goes on, and a stopped one is continued. Messages arrive. No client has to begin, to leave, or to ask
\* for retirement. Of the actions that are joined here only one is enabled at a time, or it does not matter which is taken.
Running ==
    /\ \A c \in Clients :
        /\ WF_vars(Client(c) \/ Continue(c))
        /\ WF_vars(\E s \in Slots : Answer(s, c) \/ Admit(s, c))
    /\ \A s \in Slots : WF_vars(Process(s) \/ Serve(s) \/ Watchdog(s) \/ Exit(s) \/ Continue(s))

\* A server checks its files, however often it is idle. A server that keeps trying the point lock also tries while it is
\* free, and gets it in the end (it tries every other millisecond, while a client backs off for up to fifty).
ServerTries ==
    /\ SF_vars(\E s \in Slots : (Serve(s) /\ sv'[s].pc = "Check") \/ (ServerBackoff(s) /\ plock[cur] = None))
    /\ SF_vars(\E s \in Slots : ServerLock(s) /\ plock[cur] = None)

Fairness == Running /\ ServerTries

Spec == Safe /\ Fairness

\* The same without that of a server's tries.
Unlucky == Safe /\ Running

\* The same with a deadline, which is no fault. It is looked at between two attempts: a connect does not back off for ever.
\* (The fault of this name ends a connect at any step.)
Expire(c) == In(c, "Backoff") /\ GivenUp(c, "Deadline") /\ UNCHANGED <<left, clean, rounds, leaked, tries>>
Timed ==
    /\ Init /\ [][Next \/ \E c \in Clients : Expire(c)]_vars
    /\ Running /\ \A c \in Clients : SF_vars(Expire(c))

\* Without a deadline, but with luck: a client has a chance while it is about to try the point lock, nobody holds
\* that, and it would find a server that serves or the lifetime lock free. One that has chances for ever takes one.
Chance(c) ==
    /\ cl[c].pc \in {"Backoff", "Read", "Lock"} /\ plock[cur] = None
    /\ Unheld \/ \E s \in Slots : Serving(s) /\ file[cur] = s
Luck == \A c \in Clients : <>[]~Chance(c) \/ []<><<Lock(c) /\ Chance(c)>>_vars
Lucky == Unlucky /\ Luck

(***************************************************************************)
(* Invariants and step properties. docs/manual/guarantees.md has the names.*)
(***************************************************************************)

Outs == {"", "Welcomed", "Start", "Absent", "Internal", "Failed", "Unverified", "TooLate", "Trouble", "Deadline",
         "CannotTell", "Incompatible", "OtherDialect", "ForeignScope", "TooOld"}

ClientType == [
    pc      : {"Out", "Read", "Lock", "Reread", "Probe", "Clear", "Spawn", "Await", "Verify", "Write", "Confirm", "Fallback",
               "Kill", "Unlock", "Backoff", "Wait", "Dial", "Hello", "Prove", "Welcome", "Done"},
    goal    : Connects \cup {"Serve", "Retire", "None"},
    suspect : Slots \cup {None},
    dials   : 0..2,
    starts  : 0..Starts,
    rec     : Slots \cup {None},
    how     : {"Free", "Again", "Holding"},
    again   : BOOLEAN,
    waited  : BOOLEAN,
    row     : {"", "Nothing", "Suspected", "Replaced", "Apart", "Doubtful"} \cup Others,
    then    : {"Backoff", "Again", "Wait", "Fallback"} \cup Outs,
    child   : Slots \cup {None},
    free    : BOOLEAN,
    listed  : BOOLEAN,
    asked   : {<<>>} \cup {<<s>> : s \in Slots \cup {None}},
    out     : Outs]

ServerType == [
    pc        : {"Free", "Watch", "Claim", "Build", "Listen", "Ready", "Registered", "Write", "Refuse", "Serve", "Check",
                 "Lock", "Backoff", "Recheck", "Reclaim", "Restore", "Look", "Withdraw", "Close", "Unlock", "Drain",
                 "Release", "Dying"},
    hand      : BOOLEAN,
    pipe      : {"none", "open", "reg", "eof", "kept"},
    reply     : {"", "Ready", "Busy", "Failed", "Nonsense"},
    listen    : BOOLEAN,
    reg       : BOOLEAN,
    open      : BOOLEAN,
    requested : BOOLEAN,
    why       : {"", "Idle", "Requested", "Lost"},
    held      : BOOLEAN,
    purpose   : {"", "Restore", "Idle", "Requested"},
    then      : {"", "Serve", "Lost", "Drain", "Busy", "Failed"},
    hung      : BOOLEAN,
    mute      : BOOLEAN]

ConnType == [
    to  : Slots \cup {None},
    st  : {"none", "open", "hello", "proof", "proved", "welcome", "full"},
    eof : BOOLEAN]

TypeOK ==
    /\ cl \in [Clients -> ClientType]
    /\ sv \in [Slots -> ServerType]
    /\ conn \in [Clients -> ConnType]
    /\ file \in [Inodes -> Contents]
    /\ plock \in [Inodes -> Clients \cup Slots \cup {None}]
    /\ cur \in Inodes
    /\ life \in Clients \cup Slots \cup {None, Absent}
    /\ port \in [Slots -> {"none", "silent", "liar", "original"}]
    /\ from \in [Slots -> Places]
    /\ stopped \subseteq Clients \cup Slots
    /\ left \in 0..Budget
    /\ clean \subseteq Clients
    /\ rounds \in 0..Rounds
    /\ leaked \subseteq Slots
    /\ tries \in [Clients -> Nat]
    /\ Old \subseteq Clients \cup Slots /\ Choice \in {"Replace", "Join", "Refuse"}
    /\ WhenLost \in {"retire", "keep"}
    /\ Away \subseteq Clients /\ Place \in Places /\ Transport \in {"socket", "port"}

\* A server whose life file is gone makes it again. A second fault may keep it from that, or clients from the server: it is
\* hidden then.
TakesLife == Faults \cap {"life removed", "life replaced"} # {}
Hides     == {"kill client", "stop server", "torn", "emptied", "deleted", "life replaced"}
Befell(faults) == left + faults <= Budget
Hidden(s) == LifeFileGone(s) /\ Faults \cap Hides # {} /\ Befell(2)

\* At most one server of the point serves, even if the point is deleted, or the life file removed.
SingleServing == \A s, t \in Slots : Serving(s) /\ Serving(t) => s = t \/ Hidden(s) \/ Hidden(t)

\* Handler code runs in at most one process, from before Build to the end of its drain. Removing the life file opens a
\* window until it is made again: an orphan may claim it. A server that retires no longer checks its files; it ends with
\* its drain. One that keeps its sessions lives beside its successor without an end: a service that wants that gives up
\* this property.
Unguarded(s) == TakesLife /\ LifeFileGone(s) /\ sv[s].reg /\ ~sv[s].open
Window(s, t) == (Unguarded(s) /\ ~KeepsSessions(s)) \/ (TakesLife /\ LifeFileGone(s) /\ ~sv[t].reg)
OneHandler ==
    \A s, t \in Slots :
        Handler(s) /\ Handler(t) =>
            s = t \/ Window(s, t) \/ Window(t, s) \/ (Hidden(s) /\ ~KeepsSessions(s)) \/ (Hidden(t) /\ ~KeepsSessions(t))

\* A step changes the file, and it is not a fault of the file.
Damaged  == left' # left /\ cl' = cl /\ sv' = sv
Steps(x) == (x \in Clients /\ cl'[x] # cl[x]) \/ (x \in Slots /\ sv'[x] # sv[x])
Changes(i) == file'[i] # file[i] /\ ~Damaged

\* While a server serves and the file holds its record, only its own retirement changes the file. There is one exception,
\* if the point was deleted and the record put back as well. Of two clients that hold a file each, one starts the server in
\* the old file; the other has asked the lifetime lock before the server took it, and clears what is put back in the new
\* file. RecordRestored says that the server writes it again.
Revived == {"deleted", "old copy"} \subseteq Faults /\ Befell(2)
NoLiveInvalidationStep ==
    \A s \in Slots : Serving(s) /\ file[cur] = s /\ file'[cur] # s /\ ~Damaged =>
        \/ Revived /\ \E c \in Clients : cl[c].pc = "Clear" /\ cl'[c].pc # "Clear" /\ Inode(c) = cur /\ cl[c].free
        \/ Hidden(s)
NoLiveInvalidation == [][NoLiveInvalidationStep]_vars

\* A connect clears or writes only while it holds the point lock and has found the lifetime lock free under it.
ClearOnlyIfFreeStep ==
    \A c \in Clients : cl'[c] # cl[c] /\ Changes(cur) /\ cl[c].pc \in {"Clear", "Write", "Confirm"} => Holds(c) /\ cl[c].free
ClearOnlyIfFree == [][ClearOnlyIfFreeStep]_vars

\* Only its own retirement, or a fault, takes the socket of a live server away. A server that is hidden has its socket
\* removed by the next one, and may remove that one's.
NoCutOffStep ==
    \A s \in Slots : Alive(s) /\ sv[s].listen /\ ~sv'[s].listen =>
        (sv[s].pc = "Close" /\ sv'[s].pc # "Close") \/ left' # left \/ Unguarded(s) \/ \E t \in Slots : Hidden(t)
NoCutOff == [][NoCutOffStep]_vars

\* No process ever sends a cookie.
CookieSecrecy == leaked = {}

\* Only the spawner of a server that is being started knows its cookie.
CookieFreshness ==
    \A s \in Slots : sv[s].pc \in {"Watch", "Claim"} =>
        /\ \A i \in Inodes : file[i] # s
        /\ \A c \in Clients : s \notin {cl[c].suspect, cl[c].rec, conn[c].to}

\* A welcome comes from a serving server that knows the cookie that the client read. A client connects only by a welcome.
Reports(c) == cl[c].pc = "Welcome" /\ (cl'[c].then = "Welcomed" \/ cl'[c].out = "Welcomed")
AuthenticityStep ==
    \A c \in Clients :
        /\ conn'[c].st = "welcome" /\ conn[c].st # "welcome" => Serving(conn[c].to)
        /\ Reports(c) => conn[c].st = "welcome" /\ conn[c].to = cl[c].rec
Authenticity == [][AuthenticityStep]_vars

\* A connected client is counted. Its own close, the server's end or the drain deadline are all that ends that. A server
\* that retires because it is idle counts no client.
NoLostConnectStep ==
    /\ \A c \in Clients : Reports(c) => conn[c].st = "welcome"
    /\ \A c \in Clients, s \in Slots :
          Counts(s, c) /\ conn'[c].eof => ~Alive(s) \/ sv[s].pc = "Drain"
    /\ \A s \in Slots : sv[s].pc = "Look" /\ sv[s].why = "Idle" /\ sv[s].open /\ ~sv'[s].open => Counted(s) = {}
NoLostConnect == [][NoLostConnectStep]_vars

\* Only the holder of the file's lock changes it, faults aside. A server that retires withdraws only its own record.
LockDisciplineStep ==
    \A i \in Inodes : Changes(i) =>
        /\ \E x \in Clients \cup Slots : plock[i] = x /\ Steps(x)
        /\ \A s \in Slots : sv[s].pc = "Withdraw" /\ Steps(s) => file[i] = s
LockDiscipline == [][LockDisciplineStep]_vars

\* What is held at each step, as Step::holds in src/proto says. A client that has ended holds nothing.
ClientHolds(c) == cl[c].pc \in {"Reread", "Probe", "Clear", "Spawn", "Await", "Verify", "Write", "Confirm", "Fallback",
                                "Kill", "Unlock"} \/ Holding(c)
ServerHolds(s) ==
    \/ sv[s].pc \in {"Recheck", "Reclaim", "Restore", "Withdraw", "Unlock", "Write"}
    \/ sv[s].hand /\ ~sv[s].reg /\ sv[s].pc \in {"Claim", "Build", "Listen"}
    \/ sv[s].held
HoldsTable ==
    /\ \A c \in Clients : Holds(c) <=> ClientHolds(c)
    /\ \A s \in Slots : sv[s].pc # "Dying" => (Holds(s) <=> ServerHolds(s)) /\ (life = s => LifeHolds(s))
    /\ \A s \in Slots : LifeFileGone(s) => ~Calm /\ TakesLife
    /\ \A c \in Clients : (cl[c].child # None) <=> (cl[c].pc \in {"Await", "Verify", "Write", "Confirm", "Kill"})
    /\ \A c \in Clients : life # c

\* The holder of the point lock can take its next step at once. It waits only for its child's answer (`start`) and for a
\* server that it dials (`patience`), and never over a timer, a drain or another's lock.
BoundedHold ==
    /\ \A c \in Clients : Holds(c) =>
          /\ cl[c].pc \notin {"Read", "Lock", "Backoff", "Wait", "Out", "Done"}
          /\ c \in stopped \/ cl[c].pc \in {"Await", "Prove", "Welcome"} \/ ENABLED Client(c)
    /\ \A s \in Slots : Holds(s) /\ sv[s].pc # "Dying" =>
          /\ sv[s].pc \notin {"Watch", "Registered", "Serve", "Check", "Lock", "Backoff", "Drain"}
          /\ s \in stopped \/ ENABLED Process(s)

\* External starts no thread, Internal no process. Robust starts a thread only after a listed failure and beside no server.
PolicyFidelity ==
    \A c \in Clients :
        /\ cl[c].out = "Internal" \/ cl[c].then = "Internal" => cl[c].goal \in {"Internal", "Robust"}
        /\ cl[c].goal = "Internal" => cl[c].child = None /\ ~Holds(c)
        /\ cl[c].goal = "Robust" /\ (cl[c].out = "Internal" \/ cl[c].then = "Internal") => cl[c].listed
        /\ cl[c].goal = "Robust" /\ cl[c].pc = "Unlock" /\ cl[c].then = "Internal" => ~\E s \in Slots : Serving(s)

\* A client that joins starts nothing: no process, no thread, no server by hand.
JoinStartsNothing ==
    \A c \in Clients : cl[c].goal = "Join" =>
        /\ cl[c].pc \notin {"Clear", "Spawn", "Await", "Verify", "Write", "Confirm", "Fallback", "Kill"}
        /\ cl[c].child = None /\ cl[c].then # "Internal" /\ cl[c].out \notin {"Internal", "Start"}

\* None of its steps changes the point or a server. It takes no lock but the point lock.
JoinChangesNothingStep ==
    \A c \in Clients :
        cl[c].goal = "Join" /\ cl'[c] # cl[c] /\ (\A x \in Clients \ {c} : cl'[x] = cl[x]) /\ left' = left =>
            file'[cur] = file[cur] /\ cur' = cur /\ life' = life /\ sv' = sv
JoinChangesNothing == [][JoinChangesNothingStep]_vars

\* A client says that no server is there only if none serves. Two kinds of fault hide a live server: one that removes
\* the life file, and one that removes the point, until the server makes the file again.
AbsentIsTrueStep ==
    \A c \in Clients :
        /\ cl[c].pc = "Probe" /\ cl'[c].then = "Absent" => \A s \in Slots : Serving(s) => LifeFileGone(s)
        /\ cl[c].pc = "Lock" /\ cl'[c].out = "Absent" /\ Calm => \A s \in Slots : ~Serving(s)
AbsentIsTrue == [][AbsentIsTrueStep]_vars

\* A server is asked to retire only by a client that retires it, or one that replaces older servers by choice. A client
\* that refuses older servers is counted by none.
NoReplacementUnlessChosenStep ==
    \A s \in Slots : ~sv[s].requested /\ sv'[s].requested =>
        \E c \in Clients : /\ conn[c].to = s /\ conn[c].st = "proved" /\ conn'[c].st = "welcome"
                           /\ cl[c].goal = "Retire" \/ (Choice = "Replace" /\ IsOlder(s, c))
NoReplacementUnlessChosen == [][NoReplacementUnlessChosenStep]_vars
RefusalIsKept == Choice = "Refuse" => \A s \in Slots, c \in Clients : Counts(s, c) => ~IsOlder(s, c)

\* A client says that the server is too old only if an older one was registered and lives. (A killed process that has not
\* ended yet still counts: the client cannot know.)
Ending(c) == {cl'[c].then, cl'[c].out} \ {cl[c].then, cl[c].out}
TooOldIsTrueStep ==
    \A c \in Clients : "TooOld" \in Ending(c) =>
        \E s \in Slots : s = cl[c].rec /\ IsOlder(s, c) /\ Choice = "Refuse" /\ sv[s].pc # "Free" /\ sv[s].reg
TooOldIsTrue == [][TooOldIsTrueStep]_vars

\* Without faults no connect fails, and each dials at most three times, and once more if it replaced a server. The
\* exceptions are a port whose network namespace is unknown, since no server starts there; and a client that refuses older
\* servers.
Well(c, out) ==
    \/ out \in {"", "Welcomed"}
    \/ out = "Internal" /\ cl[c].goal = "Internal"
    \/ out = "Start" /\ cl[c].goal = "Serve"
    \/ out = "Absent" /\ cl[c].goal \in {"Retire", "Join"}
    \/ out = "TooOld" /\ Choice = "Refuse" /\ c \notin Old
    \/ out \in {"Failed", "Internal"} /\ Transport = "port" /\ PlaceOf(c) = "nowhere"
NoSpuriousError == Calm => \A c \in Clients : tries[c] <= (IF cl[c].asked = <<>> THEN 3 ELSE 4) /\ Well(c, cl[c].out)

NothingHeld ==
    \A c \in Clients : cl[c].pc \in {"Out", "Done"} => ~Holds(c) /\ life # c /\ cl[c].child = None

\* A connect can give up at every step, and holds nothing after that.
DeadlineEverywhere ==
    \A c \in Clients : cl[c].pc \notin {"Out", "Done"} /\ c \notin stopped => ENABLED (GivenUp(c, "Deadline") /\ NothingHeld')

\* A client parts from its child by registering it. If it does not, it ends the child, and a connect that ends also takes
\* back the record that it wrote. Only a client that is killed (it is Out) leaves the child to the watchdog: see NoOrphan.
NoChildLeftStep ==
    \A c \in Clients : LET s == cl[c].child IN
        s # None /\ cl'[c].child # s /\ cl'[c].pc # "Out" =>
            /\ sv'[s].pc \in {"Free", "Dying"} \/ sv'[s].pipe = "reg"
            /\ cl'[c].pc = "Done" => \A i \in Inodes : file'[i] # s
NoChildLeft == [][NoChildLeftStep]_vars

\* A property of the model, not of the protocol: there is always a slot to start in.
SlotsSuffice == \A c \in Clients : cl[c].pc \in {"Clear", "Spawn"} => FreeFor(c) # {}

(***************************************************************************)
(* Liveness: what must happen in the end.                                  *)
(***************************************************************************)

\* A server that is never registered exits.
NoOrphan ==
    \A s \in Slots : (Alive(s) /\ ~sv[s].hand /\ ~sv[s].reg) ~> (sv[s].reg \/ sv[s].pc = "Free")

\* Every connect ends: by its deadline (Timed), with luck (Lucky), or if only finitely many begin (Spec, Rounds > 0).
\* Among clients that connect for ever one may always find the point locked, or a server that drains.
Active(c)   == cl[c].pc \notin {"Out", "Done"}
Termination == \A c \in Clients : Active(c) ~> ~Active(c)

\* It also ends if from some time on no other runs, whatever happened before. NoSpuriousError says how.
Alone == \A c \in Clients : []<>(\E x \in Clients \ {c} : Active(x)) \/ (Active(c) ~> ~Active(c))

\* Every connect that begins after the last fault succeeds. (SingleServing says that all reach one server.)
Convergence ==
    \A c \in Clients : /\ (c \in clean) ~> (c \notin clean \/ cl[c].pc = "Done")
                       /\ [](c \in clean => Well(c, cl[c].out))

\* A server that keeps its sessions lives as long as they do.
Kept(s) == KeepsSessions(s) /\ Counted(s) # {}
RetiredExits == \A s \in Slots : (sv[s].reg /\ ~sv[s].open) ~> (sv[s].pc = "Free" \/ Kept(s))

\* A server whose life file was removed or replaced makes it again or retires.
LifeRestored == \A s \in Slots : LifeFileGone(s) ~> (~LifeFileGone(s) \/ Kept(s))

\* A server that serves writes its record again if the file does not hold it.
RecordRestored == \A s \in Slots : (Serving(s) /\ file[cur] # s) ~> (~Serving(s) \/ file[cur] = s)

\* Every hold of the point lock ends.
HoldEnds == \A x \in Clients \cup Slots : Holds(x) ~> ~Holds(x)

\* A server that was asked to retire does so in the end.
RequestEnds == \A s \in Slots : (Serving(s) /\ sv[s].requested) ~> ~Serving(s)

\* A server that counts no client retires in the end, whatever other processes connect.
IdleEnds == \A s \in Slots : (Serving(s) /\ Counted(s) = {}) ~> (~Serving(s) \/ Counted(s) # {})

===============================================================================
