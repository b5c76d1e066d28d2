------------------------------ MODULE rendezvous ------------------------------
(***************************************************************************)
(* Many clients, one name, one server.                                     *)
(*                                                                         *)
(* A service is named by a file, the point. It holds the record of the     *)
(* server: where it listens and what it knows (the cookie). Whoever holds  *)
(* the point's lock may change the point. A second file, the life file, is *)
(* locked by a server from before its handler exists until its last client *)
(* is gone. From these two locks everything else follows:                  *)
(*                                                                         *)
(*   - a client that cannot reach the recorded server only suspects it;    *)
(*   - it takes the point lock and asks the lifetime lock;                 *)
(*   - free is a fact: the record is dead, and a server may be started;    *)
(*   - held is none: back off, and try again.                              *)
(*                                                                         *)
(* A server listens at a port, or at a socket, which is a file of its own. *)
(* A file can be removed: by a fault, and by who sweeps up what dead       *)
(* servers left. In all else the two are alike, so nothing says which.     *)
(*                                                                         *)
(* An action is one step of the machines in src/proto, and has its name.   *)
(* Where client and server have a step of the same name, the server's is   *)
(* called ServerX. README.md beside this file says it all in prose, and    *)
(* what is left out. MCrendezvous.tla says how much of it is explored.     *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets

CONSTANTS
    Clients,    \* programs that connect, serve by hand, or have a server retire
    Slots,      \* what may become a server: its process, its port and its cookie
    None,       \* neither a client nor a slot
    Goals,      \* what clients want: see Begin
    Faults,     \* the kinds of fault that happen
    Budget,     \* how many faults happen at most
    Rounds,     \* how many connects begin at most; 0: no limit
    Transport,  \* where servers listen: at a "socket" or at a "port"
    Away,       \* the clients that are not where the others are
    Place,      \* and where they are: see Places
    Without     \* the rules that are taken out, to see what they are good for

VARIABLES
    cl,         \* client  -> its machine
    sv,         \* slot    -> its machine and its pipes; a process of the slot is a server
    conn,       \* client  -> its connection, if any
    file,       \* inode   -> what is in it: nothing, garbage, or a server's record
    plock,      \* inode   -> who holds its lock (the point lock, if the path leads there)
    cur,        \* the inode that the point's path leads to
    life,       \* who holds the lock of the life file; or that there is no life file
    port,       \* slot    -> the stranger that took a dead server's port, or the server of another point that a copy names
    from,       \* slot    -> where its server was started: its record says so
    stopped,    \* who is stopped (SIGSTOP)
    left,       \* how many faults may still happen
    clean,      \* the clients that began after the last fault; kept where Rounds is not 0, for Convergence
    rounds,     \* how many connects may still begin
    leaked,     \* the cookies that were sent somewhere
    tries       \* client  -> how often it dialled, while there was no fault

point == <<file, plock, cur>>
env   == <<port, from, stopped, left, clean, rounds, leaked, tries>>
vars  == <<cl, sv, conn, file, plock, cur, life, port, from, stopped, left, clean, rounds, leaked, tries>>

Rule(name) == name \notin Without

(***************************************************************************)
(* What there is.                                                          *)
(*                                                                         *)
(* A record is known by its slot: the slot stands for the address, the     *)
(* cookie, and all else in it. A slot that nothing refers to any more is   *)
(* used again, with a fresh cookie and another port: hence FreeSlots.      *)
(***************************************************************************)

Inodes   == {0, 1}
Nothing  == {"Empty", "Torn"}                   \* absent or empty; malformed
Others   == {"Newer", "Dialect", "Foreign"}     \* of a newer format, of the other dialect, of another machine that
                                                \* shares the home
Contents == Slots \cup Nothing \cup Others

\* Where one may be: where most are; in another network namespace; where it is not known which; or where another boot
\* or machine is seen, though the kernel is the same.
Places   == {"here", "there", "nowhere", "rebooted"}

Calm     == left = Budget                       \* there was no fault yet
Starts   == 3
Connects == {"External", "Internal", "Robust"}

Idler == [pc |-> "Out", goal |-> "None", suspect |-> None, dials |-> 0, starts |-> 0, rec |-> None,
          how |-> "Free", again |-> FALSE, waited |-> FALSE, row |-> "", then |-> "", child |-> None,
          free |-> FALSE, listed |-> FALSE, out |-> ""]

FreeSlot == [pc |-> "Free", hand |-> FALSE, pipe |-> "none", reply |-> "", listen |-> FALSE, reg |-> FALSE,
             open |-> FALSE, told |-> FALSE, why |-> "", held |-> FALSE, purpose |-> "", then |-> "",
             hung |-> FALSE, guest |-> FALSE]

NoConn == [to |-> None, st |-> "none", eof |-> FALSE]

Alive(s)    == sv[s].pc \notin {"Free", "Dying"}
Serving(s)  == Alive(s) /\ sv[s].open

PlaceOf(c) == IF c \in Away THEN Place ELSE "here"

\* What the record of a server is worth to who stands at a place. A socket is a file beside the point, and leads to its
\* server from wherever that file is seen. A port is its server's in one network namespace only, and only if that is known
\* on both sides. Another boot may be an earlier one, whose port is somebody else's by now; it may also be this one by
\* another name. Held, the lifetime lock says that its holder lives on this kernel.
Reach(place, s) ==
    CASE Transport = "socket"                                -> "Direct"
      [] Transport = "port" /\ place = from[s] /\ place # "nowhere" -> "Direct"
      [] Transport = "port" /\ {place, from[s]} = {"here", "rebooted"} -> "Doubtful"
      [] OTHER                                               -> "Apart"

\* At a port of which nobody can tell where it is, nobody is found.
Findable(s) == Transport = "socket" \/ from[s] # "nowhere"

\* The sockets of all servers are removed. Only who holds the lifetime lock does that: they are those of the dead.
Swept == [s \in Slots |-> [sv[s] EXCEPT !.listen = FALSE]]
SweptUnless(rule) == IF Rule(rule) THEN sv ELSE Swept

Counts(s,c) == conn[c].to = s /\ conn[c].st = "welcome" /\ ~conn[c].eof /\ cl[c].goal \in Connects
Counted(s)  == {c \in Clients : Counts(s, c)}
Handler(s)  == sv[s].pc \in {"Build", "Listen", "Ready", "Registered", "Write", "Serve", "Check", "Lock", "Backoff",
                             "Recheck", "Reclaim", "Restore", "Look", "Withdraw", "Close", "Unlock", "Drain"}
               /\ sv[s].then \notin {"Busy", "Failed"}

\* There is a life file, or none, and nobody has locked it: who locks it makes it.
Absent     == "absent"
Unheld     == life \in {None, Absent}
\* What a server knows to be its lifetime lock, once it got it.
LifeHolds(s) == sv[s].pc \notin {"Free", "Watch", "Claim", "Dying"} /\ sv[s].then # "Busy"
\* But its life file was removed or replaced.
Robbed(s)  == LifeHolds(s) /\ life # s

Inode(x)  == IF plock[1] = x THEN 1 ELSE 0
Holds(x)  == \E i \in Inodes : plock[i] = x
Mine(x)   == file[Inode(x)]                     \* what is in the file that x has locked

Written(x, content) == [file EXCEPT ![Inode(x)] = content]

\* What is unlocked and has no path is gone.
LetGo(x, f) ==
    /\ plock' = IF Holds(x) THEN [plock EXCEPT ![Inode(x)] = None] ELSE plock
    /\ file' = IF Holds(x) /\ Inode(x) # cur THEN [f EXCEPT ![Inode(x)] = "Empty"] ELSE f
    /\ cur' = cur

\* An old copy of the point can still be put back.
Copies == "old copy" \in Faults /\ left > 0

\* A suspect that is gone, with its record, is forgotten where nothing can bring it back: it can be met no more.
Recorded(s) == \E i \in Inodes : file[i] = s
Refers(s) ==
    \/ Recorded(s)
    \/ \E c \in Clients : s \in {cl[c].rec, cl[c].child, conn[c].to} \/ (s = cl[c].suspect /\ Copies)

FreeSlots == {s \in Slots : sv[s].pc = "Free" /\ (Refers(s) => ~Rule("fresh cookie"))}
Unused    == CHOOSE s \in FreeSlots : TRUE       \* any is as good as another
Forgets(c, s) == [cl[c] EXCEPT !.suspect = IF @ = s THEN None ELSE @]

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

\* A connect begins, to be served (as a policy says), to serve by hand, or to have the server retire.
Begin(c) ==
    /\ In(c, "Out")
    /\ Rounds > 0 => rounds > 0
    /\ rounds' = IF Rounds > 0 THEN rounds - 1 ELSE rounds
    /\ \E goal \in Goals : cl' = [cl EXCEPT ![c].pc = "Read", ![c].goal = goal]
    /\ clean' = IF Rounds > 0 THEN clean \cup {c} ELSE clean
    /\ UNCHANGED <<sv, conn, point, life, port, from, stopped, left, leaked, tries>>

\* A client that is over goes, and closes its connection. It may begin again, as another.
Leave(c) ==
    /\ In(c, "Done")
    /\ cl' = [cl EXCEPT ![c] = Idler]
    /\ conn' = [conn EXCEPT ![c] = NoConn]
    /\ clean' = clean \ {c}
    /\ tries' = [tries EXCEPT ![c] = 0]
    /\ UNCHANGED <<sv, point, life, port, from, stopped, left, rounds, leaked>>

\* Without the lock. A record is dialled if it leads to its server from here and is not the suspect, and two at most.
Read(c) ==
    /\ In(c, "Read")
    /\ LET found == file[cur]
           again == found \in Slots /\ found = cl[c].suspect /\ (cl[c].again \/ ~Rule("suspect"))
           free  == /\ found \in Slots /\ found # cl[c].suspect /\ (cl[c].dials < 2 \/ ~Rule("two free dials"))
                    /\ Reach(PlaceOf(c), found) = "Direct"
           quest == [cl[c] EXCEPT !.again = FALSE]
           counted == IF Rule("two free dials") THEN cl[c].dials + 1 ELSE 0
       IN cl' = [cl EXCEPT ![c] =
              CASE again -> [quest EXCEPT !.pc = "Dial", !.how = "Again", !.rec = found]
                [] free  -> [quest EXCEPT !.pc = "Dial", !.how = "Free", !.rec = found, !.dials = counted]
                [] OTHER -> (IF cl[c].goal = "Internal" THEN Over(c, "Internal") ELSE [quest EXCEPT !.pc = "Lock"])]
    /\ UNCHANGED <<sv, conn, point, life, env>>

Lock(c) ==
    /\ In(c, "Lock")
    /\ (IF plock[cur] = None
        THEN /\ plock' = [plock EXCEPT ![cur] = c]
             /\ cl' = [cl EXCEPT ![c].pc = "Reread"]
        ELSE /\ plock' = plock
             /\ cl' = [cl EXCEPT ![c].pc = "Backoff"])
    /\ UNCHANGED <<sv, conn, file, cur, life, env>>

Row(c, found) ==
    CASE found \in Nothing       -> "Nothing"
      [] found \in Others        -> found
      [] found = cl[c].suspect   -> "Suspected"
      [] found \in Slots /\ found # cl[c].suspect -> (IF Reach(PlaceOf(c), found) = "Direct" THEN "Fresh"
                                                     ELSE Reach(PlaceOf(c), found))

\* Under the lock. A record that is not the suspect is dialled while the lock is held: nobody can retire meanwhile.
Reread(c) ==
    /\ In(c, "Reread")
    /\ LET found == Mine(c) IN
       (IF Row(c, found) # "Fresh"
        THEN cl' = [cl EXCEPT ![c].pc = "Probe", ![c].row = Row(c, found)] /\ UNCHANGED point
        ELSE IF Rule("dial holding")
        THEN cl' = [cl EXCEPT ![c].pc = "Dial", ![c].how = "Holding", ![c].rec = found] /\ UNCHANGED point
        ELSE cl' = [cl EXCEPT ![c].pc = "Dial", ![c].rec = found] /\ LetGo(c, file))
    /\ sv' = SweptUnless("sweep if free")
    /\ UNCHANGED <<conn, life, env>>

\* Record x lifetime lock, as the table has it.
Decision(row, free) ==
    CASE row = "Dialect"                 -> "OtherDialect"
      [] row = "Foreign" /\ free         -> "ForeignScope"
      [] row # "Foreign" /\ row # "Dialect" /\ free -> "Start"
      [] row = "Newer" /\ ~free          -> "Incompatible"
      [] row \in {"Nothing", "Apart", "Foreign"} /\ ~free -> "Backoff"
      [] row = "Doubtful" /\ ~free       -> (IF Rule("dial the doubtful") THEN "Dial" ELSE "Backoff")
      [] row = "Suspected" /\ ~free      -> (IF Rule("again after held") THEN "Again" ELSE "Backoff")

\* There may be no life file: a server, if one lives, makes it again. Beside a whole record of here that is waited for, and
\* then taken for free.
Wanting(c) == life = Absent /\ cl[c].row \in {"Suspected", "Apart", "Newer"} /\ ~cl[c].waited /\ Rule("wait")

\* What is over as soon as it holds nothing: what decided until now is forgotten.
Ends(quest, out) == [quest EXCEPT !.then = out, !.suspect = None, !.waited = FALSE, !.dials = 0, !.starts = 0]

\* Where a start that is not possible leads: what the policy makes of it.
Failed(c, quest) ==
    IF cl[c].goal = "Robust" THEN [quest EXCEPT !.then = "Fallback", !.listed = TRUE] ELSE Ends(quest, "Failed")

KillOr(quest, child) ==
    [quest EXCEPT !.pc = IF child THEN "Kill" ELSE (IF quest.then = "Fallback" THEN "Fallback" ELSE "Unlock")]

Probe(c) ==
    /\ In(c, "Probe")
    /\ LET free    == life \in {None, Absent, c} \/ ~Rule("probe")
           verdict == IF Wanting(c) THEN "Wait" ELSE Decision(cl[c].row, free)
           quest   == [cl[c] EXCEPT !.row = "", !.free = life \in {None, Absent, c} /\ ~Wanting(c),
                                    !.waited = @ /\ life = Absent,
                                    !.again = Wanting(c) /\ cl[c].row = "Suspected"]
           unlock  == [quest EXCEPT !.pc = "Unlock"]
       IN /\ cl' = [cl EXCEPT ![c] =
                CASE verdict = "Start" /\ cl[c].goal = "Retire"   -> Ends(unlock, "Absent")
                  [] verdict = "Start" /\ cl[c].goal # "Retire" /\ cl[c].starts = Starts
                                                                  -> KillOr(Failed(c, quest), FALSE)
                  [] verdict = "Start" /\ cl[c].goal # "Retire" /\ cl[c].starts # Starts
                                                                  -> [quest EXCEPT !.pc = "Clear"]
                  [] verdict = "Dial"             -> [quest EXCEPT !.pc = "Dial", !.how = "Holding", !.rec = Mine(c)]
                  [] verdict \notin {"Start", "Dial"} /\ cl[c].goal = "Robust" /\ ~Rule("listed")
                                                                  -> Ends(unlock, "Internal")
                  [] verdict # "Start" /\ (cl[c].goal = "Robust" => Rule("listed"))
                     /\ verdict \in {"Backoff", "Again", "Wait"}   -> [unlock EXCEPT !.then = verdict]
                  [] verdict \notin {"Start", "Dial"} /\ (cl[c].goal = "Robust" => Rule("listed"))
                     /\ verdict \notin {"Backoff", "Again", "Wait"} -> Ends(unlock, verdict)]
          /\ life' = IF Rule("probe unlocked") \/ verdict # "Start" THEN life ELSE c
          /\ (IF Rule("probe under lock") \/ verdict # "Start" THEN UNCHANGED point ELSE LetGo(c, file))
    /\ UNCHANGED <<sv, conn, env>>

Server(hand) ==
    [FreeSlot EXCEPT !.hand = hand, !.pc = IF hand THEN "Claim" ELSE "Watch", !.pipe = IF hand THEN "none" ELSE "open"]

\* The record is dead. Who serves by hand is a server from here on, and takes the point lock along.
Clear(c) ==
    /\ In(c, "Clear")
    /\ LET lock == IF Holds(c) THEN plock ELSE [plock EXCEPT ![cur] = c]
           here == IF lock[1] = c THEN 1 ELSE 0
       IN /\ Holds(c) \/ plock[cur] = None
          /\ file' = [file EXCEPT ![here] = "Empty"]
          /\ (IF cl[c].goal = "Serve"
              THEN LET s == Unused IN
                   /\ sv' = [SweptUnless("sweep if mine") EXCEPT ![s] = Server(TRUE)]
                   /\ plock' = [lock EXCEPT ![here] = s]
                   /\ port' = [port EXCEPT ![s] = "none"]
                   /\ from' = [from EXCEPT ![s] = PlaceOf(c)]
                   /\ cl' = [x \in Clients |-> IF x = c THEN Over(c, "Start") ELSE Forgets(x, s)]
              ELSE /\ cl' = [cl EXCEPT ![c].pc = "Spawn"]
                   /\ plock' = lock
                   /\ sv' = SweptUnless("sweep if mine")
                   /\ port' = port
                   /\ from' = from)
    /\ UNCHANGED <<conn, cur, life, stopped, left, clean, rounds, leaked, tries>>

\* A process, with a cookie that nothing refers to.
Spawn(c) ==
    /\ In(c, "Spawn")
    /\ LET s == Unused
           awaits == [Forgets(c, s) EXCEPT !.pc = "Await", !.child = s, !.starts = @ + 1]
       IN /\ sv' = [sv EXCEPT ![s] = Server(FALSE)]
          /\ port' = [port EXCEPT ![s] = "none"]
          /\ from' = [from EXCEPT ![s] = PlaceOf(c)]
          /\ cl' = [x \in Clients |-> IF x = c THEN awaits ELSE Forgets(x, s)]
    /\ UNCHANGED <<conn, point, life, stopped, left, clean, rounds, leaked, tries>>

\* Its reply, its exit or the end of its budget, whichever comes first; a reply before an exit. Who said ready and is
\* seen to be gone has failed.
Await(c) ==
    /\ In(c, "Await")
    /\ LET s     == cl[c].child
           reply == sv[s].reply
           quest == [cl[c] EXCEPT !.then = "Backoff", !.starts = @ - 1]
       IN \/ reply = "Ready" /\ cl' = [cl EXCEPT ![c].pc = "Verify"]
          \/ reply = "Busy" /\ cl' = [cl EXCEPT ![c] = KillOr(quest, TRUE)]
          \/ reply \in {"Failed", "Nonsense"} /\ cl' = [cl EXCEPT ![c] = KillOr(Failed(c, cl[c]), TRUE)]
          \/ reply = "Ready" /\ sv[s].pc = "Free" /\ cl' = [cl EXCEPT ![c] = KillOr(Failed(c, cl[c]), TRUE)]
          \/ reply = "" /\ (~Alive(s) \/ sv[s].hung \/ s \in stopped)
             /\ cl' = [cl EXCEPT ![c] = KillOr(Failed(c, cl[c]), TRUE)]
    /\ UNCHANGED <<sv, conn, point, life, env>>

\* Now the lifetime lock must be held.
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

\* One answer only: whether it arrived, the dial finds out.
Confirm(c) ==
    /\ In(c, "Confirm")
    /\ LET s == cl[c].child
           quest == [cl[c] EXCEPT !.pc = "Dial", !.rec = s, !.child = None]
       IN /\ sv' = [sv EXCEPT ![s] = IF Alive(s) THEN [@ EXCEPT !.pipe = "reg", !.reply = ""]
                                     ELSE IF sv[s].pc = "Free" THEN FreeSlot ELSE @]
          /\ (IF Rule("dial holding")
              THEN cl' = [cl EXCEPT ![c] = [quest EXCEPT !.how = "Holding"]] /\ UNCHANGED point
              ELSE cl' = [cl EXCEPT ![c] = quest] /\ LetGo(c, file))
    /\ UNCHANGED <<conn, life, env>>

\* Look again before serving in this process.
Fallback(c) ==
    /\ In(c, "Fallback")
    /\ LET free == Inode(c) = cur /\ Unheld
           unlock == [cl[c] EXCEPT !.pc = "Unlock"]
       IN cl' = [cl EXCEPT ![c] = IF free \/ ~Rule("look again") THEN Ends(unlock, "Internal")
                                  ELSE [unlock EXCEPT !.then = "Backoff"]]
    /\ UNCHANGED <<sv, conn, point, life, env>>

\* It is not awaited: what is killed takes a while to die, and holds its locks meanwhile.
Kill(c) ==
    /\ In(c, "Kill")
    /\ LET s == cl[c].child IN
       sv' = [sv EXCEPT ![s] = IF ~Rule("kill") /\ Alive(s) THEN @
                               ELSE IF sv[s].pc = "Free" THEN FreeSlot ELSE [@ EXCEPT !.pc = "Dying"]]
    /\ stopped' = stopped \ {cl[c].child}
    /\ cl' = [cl EXCEPT ![c] = KillOr([cl[c] EXCEPT !.child = None], FALSE)]
    /\ UNCHANGED <<conn, point, life, port, from, left, clean, rounds, leaked, tries>>

Unlock(c) ==
    /\ In(c, "Unlock")
    /\ LetGo(c, file)
    /\ life' = IF life = c THEN None ELSE life
    /\ LET then  == cl[c].then
           quest == [cl[c] EXCEPT !.pc = IF then = "Wait" THEN "Wait" ELSE "Backoff", !.then = "", !.free = FALSE,
                                  !.again = @ \/ then = "Again"]
       IN cl' = [cl EXCEPT ![c] = IF then \in {"Backoff", "Again", "Wait"} THEN quest ELSE Over(c, then)]
    /\ UNCHANGED <<sv, conn, env>>

\* Holding nothing. That is no attempt.
Backoff(c) ==
    /\ In(c, "Backoff")
    /\ cl' = [cl EXCEPT ![c] =
          CASE Rule("back-off is free")                         -> [cl[c] EXCEPT !.pc = "Read"]
            [] ~Rule("back-off is free") /\ cl[c].starts < 3    -> [cl[c] EXCEPT !.pc = "Read", !.starts = @ + 1]
            [] ~Rule("back-off is free") /\ cl[c].starts >= 3   -> Over(c, "Failed")]
    /\ UNCHANGED <<sv, conn, point, life, env>>

\* Holding nothing, for longer than a server takes to look after its files. Only one that is stopped takes longer.
Wait(c) ==
    /\ In(c, "Wait")
    /\ ~\E s \in Slots : Serving(s) /\ s \notin stopped /\ Robbed(s) /\ Rule("reclaim")
    /\ cl' = [cl EXCEPT ![c].pc = "Read", ![c].waited = TRUE]
    /\ UNCHANGED <<sv, conn, point, life, env>>

(***************************************************************************)
(* A dial: Dial, Hello, Prove, Welcome. Whatever goes wrong is a suspicion.*)
(* Time is not modelled: patience ends only where a fault explains it.     *)
(***************************************************************************)

Suspecting(c) ==
    LET quest == [cl[c] EXCEPT !.suspect = cl[c].rec, !.rec = None, !.how = "Free",
                               !.waited = @ /\ cl[c].suspect = cl[c].rec] IN
    CASE Holding(c)                                -> [quest EXCEPT !.pc = "Probe", !.row = "Suspected"]
      [] ~Holding(c) /\ cl[c].goal = "Internal"    -> Over(c, "Internal")
      [] ~Holding(c) /\ cl[c].goal # "Internal"    -> [quest EXCEPT !.pc = "Lock"]

\* The dial came to nothing.
Suspect(c) ==
    /\ cl' = [cl EXCEPT ![c] = Suspecting(c)]
    /\ conn' = [conn EXCEPT ![c] = NoConn]

Moves(c, pc, st) ==
    /\ cl' = [cl EXCEPT ![c].pc = pc]
    /\ conn' = [conn EXCEPT ![c].st = st]

\* Why nothing might come for longer than patience: whom we dialled is stopped, dies, or is a stranger that says
\* nothing; or it is not registered and its spawner is stopped.
Silent(s) ==
    \/ sv[s].pc = "Free" /\ port[s] = "silent"
    \/ sv[s].pc = "Dying" \/ s \in stopped
    \/ ~sv[s].reg /\ \E c \in stopped : c \in Clients /\ cl[c].child = s

Patience(c) == Rule("silence") /\ Silent(cl[c].rec) /\ Suspect(c)

Dial(c) ==
    /\ In(c, "Dial")
    /\ tries' = IF Calm THEN [tries EXCEPT ![c] = @ + 1] ELSE tries
    /\ LET s == cl[c].rec IN
       (IF sv[s].listen \/ (sv[s].pc = "Free" /\ port[s] # "none")
        THEN /\ cl' = [cl EXCEPT ![c].pc = "Hello"]
             /\ conn' = [conn EXCEPT ![c] = [to |-> s, st |-> "open", eof |-> FALSE]]
        ELSE Suspect(c))
    /\ UNCHANGED <<sv, point, life, port, from, stopped, left, clean, rounds, leaked>>

Hello(c) ==
    /\ In(c, "Hello")
    /\ IF conn[c].eof THEN Suspect(c) ELSE Moves(c, "Prove", "hello")
    /\ leaked' = IF Rule("secrecy") THEN leaked ELSE leaked \cup {cl[c].rec}
    /\ UNCHANGED <<sv, point, life, port, from, stopped, left, clean, rounds, tries>>

\* Who answers at a port and is not the server of this point: it does not know the cookie; or it does, for the record was
\* copied from its point, but proves the identity of that.
Lies(c) == sv[conn[c].to].pc = "Free" /\ port[conn[c].to] \in {"liar", "original"}
Believed(c) == Lies(c) /\ ~Rule(IF port[conn[c].to] = "liar" THEN "proof" ELSE "identity")

\* The server's proof; it is answered with our own at once.
Prove(c) ==
    /\ In(c, "Prove")
    /\ \/ (conn[c].st = "proof" /\ ~conn[c].eof) /\ Moves(c, "Welcome", "proved")
       \/ conn[c].eof /\ Suspect(c)
       \/ Lies(c) /\ ~Believed(c) /\ Suspect(c)
       \/ Believed(c) /\ Moves(c, "Welcome", "proved")
       \/ Patience(c)
    /\ UNCHANGED <<sv, point, life, env>>

Joined(c) == IF Holding(c) THEN Ends([cl[c] EXCEPT !.pc = "Unlock", !.rec = None, !.how = "Free"], "Welcomed")
                           ELSE Over(c, "Welcomed")

\* Who has proved itself and has no room lives: it is dialled again without asking any lock, and holds up nobody.
Waiting(c) == [cl[c] EXCEPT !.pc = IF Holding(c) THEN "Unlock" ELSE "Backoff", !.then = IF Holding(c) THEN "Again" ELSE "",
                            !.again = ~Holding(c), !.suspect = cl[c].rec, !.rec = None, !.how = "Free"]

Welcome(c) ==
    /\ In(c, "Welcome")
    /\ LET told == conn[c].st = "welcome" \/ ~Rule("welcome") \/ Believed(c)
       IN \/ told /\ cl' = [cl EXCEPT ![c] = Joined(c)] /\ conn' = conn
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

\* Done: the process is gone. What it said is still in the pipe.
Gone(s, reply) == IF \E c \in Clients : cl[c].child = s THEN [FreeSlot EXCEPT !.reply = reply] ELSE FreeSlot
Closed(s) == [c \in Clients |-> IF conn[c].to # s THEN conn[c]
                               ELSE IF cl[c].pc = "Done" THEN NoConn ELSE [conn[c] EXCEPT !.eof = TRUE]]

At(s, pc) == sv[s].pc = pc /\ s \notin stopped
Goes(s, pc) == sv' = [sv EXCEPT ![s].pc = pc]

Watch(s) == At(s, "Watch") /\ Goes(s, "Claim") /\ UNCHANGED <<cl, conn, point, life, env>>

Refused(s, why) == sv' = [sv EXCEPT ![s].pc = IF sv[s].hand THEN "Unlock" ELSE "Refuse", ![s].then = why]

\* Until its budget is half over; for an orphan, or a predecessor that drains, may still hold it.
Claim(s) ==
    /\ At(s, "Claim")
    /\ (IF ~Rule("lifetime lock") THEN Goes(s, "Build") /\ life' = life
        ELSE IF Unheld THEN Goes(s, "Build") /\ life' = s
        ELSE Refused(s, IF Rule("child waits") THEN "Busy" ELSE "Failed") /\ life' = life)
    /\ UNCHANGED <<cl, conn, point, env>>

Build(s) ==
    /\ At(s, "Build")
    /\ \/ ~sv[s].hung /\ Goes(s, "Listen")
       \/ sv[s].hung /\ sv[s].hand /\ Refused(s, "Failed")
    /\ UNCHANGED <<cl, conn, point, life, env>>

\* At a socket of its own. Whoever else left one is dead.
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

\* By hand.
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

\* A thread of its own: the process ends when its spawner does, or when its budget is over, unless it is registered.
Watchdog(s) ==
    /\ sv[s].pc \in {"Watch", "Claim", "Build", "Listen", "Ready", "Registered"}
    /\ ~sv[s].hand /\ s \notin stopped /\ Rule("watchdog")
    /\ LET spawners == {c \in Clients : cl[c].child = s}
       IN \/ sv[s].pipe = "eof"
          \/ sv[s].pipe = "kept" /\ spawners = {}
          \/ sv[s].pipe # "reg" /\ (sv[s].hung \/ spawners \cap stopped # {})
    /\ Goes(s, "Dying")
    /\ UNCHANGED <<cl, conn, point, life, env>>

\* One question with several answers. A check that would find all well is left out: it changes nothing.
Serve(s) ==
    /\ At(s, "Serve")
    /\ \/ sv[s].told /\ sv' = [sv EXCEPT ![s].pc = "Lock", ![s].purpose = "Told"]
       \/ ~sv[s].told /\ (file[cur] # s \/ ~sv[s].listen \/ Robbed(s)) /\ Goes(s, "Check")
       \/ ~sv[s].told /\ Counted(s) = {} /\ sv' = [sv EXCEPT ![s].pc = "Lock", ![s].purpose = "Idle"]
    /\ UNCHANGED <<cl, conn, point, life, env>>

Hangup(s, these) == [c \in Clients |-> IF c \in these /\ conn[c].to = s THEN [conn[c] EXCEPT !.eof = TRUE] ELSE conn[c]]

\* Who may be hung up on when a server listens at its socket again: who waits at the old one.
Unheard(s) == IF sv[s].listen THEN {} ELSE {c \in Clients : conn[c].st \in {"open", "hello"}}

\* Life file x record. Who finds another at its life file is lost; nobody at it: it is made and locked again.
Checked(s, found) ==
    IF Robbed(s) /\ Rule("reclaim") THEN (IF found \in Others \/ ~Unheld THEN "Lost" ELSE "Robbed")
    ELSE IF found = s THEN "Mine" ELSE IF found \in Others THEN "Lost" ELSE "Damaged"

Leaves(s, why) == [sv[s] EXCEPT !.pc = "Look", !.why = why, !.held = FALSE, !.purpose = "", !.then = ""]

\* Whose socket is gone listens at it again: its name is nobody else's.
Check(s) ==
    /\ At(s, "Check")
    /\ LET checked == Checked(s, file[cur])
           again   == checked # "Lost" /\ Rule("listen again")
           heard   == [sv[s] EXCEPT !.listen = @ \/ again]
       IN /\ \E some \in SUBSET (IF again THEN Unheard(s) ELSE {}) : conn' = Hangup(s, some)
          /\ sv' = [sv EXCEPT ![s] =
              CASE checked = "Lost" -> Leaves(s, "Lost")
                [] checked = "Mine" \/ (checked = "Damaged" /\ ~Rule("restore")) -> [heard EXCEPT !.pc = "Serve"]
                [] checked = "Robbed" -> [heard EXCEPT !.pc = "Lock", !.purpose = "Restore"]
                [] checked = "Damaged" /\ Rule("restore") ->
                   (IF Rule("restore under lock") THEN [heard EXCEPT !.pc = "Lock", !.purpose = "Restore"]
                                                  ELSE [heard EXCEPT !.pc = "Restore"])]
    /\ UNCHANGED <<cl, point, life, env>>

\* One try. What the lock is for decides what comes then.
ServerLock(s) ==
    /\ At(s, "Lock")
    /\ LET purpose == sv[s].purpose
           free    == plock[cur] = None
           blind   == purpose = "Idle" /\ ~Rule("retire under lock")
           hasty   == purpose = "Told" /\ ~Rule("told is patient")
       IN /\ sv' = [sv EXCEPT ![s] =
                CASE blind                                 -> Leaves(s, purpose)
                  [] ~blind /\ free /\ purpose = "Restore" -> [@ EXCEPT !.pc = "Recheck", !.purpose = ""]
                  [] ~blind /\ free /\ purpose # "Restore" -> [Leaves(s, purpose) EXCEPT !.held = TRUE]
                  [] ~blind /\ ~free /\ purpose = "Idle"   -> [@ EXCEPT !.pc = "Serve", !.purpose = ""]
                  [] ~free /\ hasty                        -> Leaves(s, purpose)
                  [] ~free /\ purpose # "Idle" /\ ~hasty   -> [@ EXCEPT !.pc = "Backoff"]]
          /\ plock' = IF free /\ ~blind THEN [plock EXCEPT ![cur] = s] ELSE plock
    /\ UNCHANGED <<cl, conn, file, cur, life, env>>

ServerBackoff(s) ==
    /\ At(s, "Backoff")
    /\ sv' = [sv EXCEPT ![s].pc = "Lock", ![s].purpose = IF sv[s].told THEN "Told" ELSE @]
    /\ UNCHANGED <<cl, conn, point, life, env>>

Recheck(s) ==
    /\ At(s, "Recheck")
    /\ LET checked == Checked(s, Mine(s))
       IN sv' = [sv EXCEPT ![s] =
              CASE checked = "Damaged" -> [@ EXCEPT !.pc = "Restore"]
                [] checked = "Robbed"  -> [@ EXCEPT !.pc = "Reclaim"]
                [] checked = "Mine"    -> [@ EXCEPT !.pc = "Unlock", !.then = "Serve"]
                [] checked = "Lost"    -> [@ EXCEPT !.pc = "Unlock", !.then = "Lost"]]
    /\ UNCHANGED <<cl, conn, point, life, env>>

\* Makes the life file again, and locks it, as at Claim.
Reclaim(s) ==
    /\ At(s, "Reclaim")
    /\ (IF Unheld THEN Goes(s, "Recheck") /\ life' = s
        ELSE sv' = [sv EXCEPT ![s].pc = "Unlock", ![s].then = "Lost"] /\ life' = life)
    /\ UNCHANGED <<cl, conn, point, env>>

Restore(s) ==
    /\ At(s, "Restore")
    /\ file' = IF Holds(s) THEN Written(s, s) ELSE [file EXCEPT ![cur] = s]
    /\ sv' = [sv EXCEPT ![s].pc = "Unlock", ![s].then = "Serve"]
    /\ UNCHANGED <<cl, conn, plock, cur, life, env>>

\* Shuts the gate, unless the server is merely idle and somebody came.
Look(s) ==
    /\ At(s, "Look")
    /\ LET held  == sv[s].held
           guest == sv[s].guest /\ ~Rule("counted only")
           stays == sv[s].why = "Idle" /\ Rule("look") /\ (Counted(s) # {} \/ guest)
           stay  == [sv[s] EXCEPT !.why = "", !.held = FALSE]
       IN sv' = [sv EXCEPT ![s] =
              CASE stays /\ held   -> [stay EXCEPT !.pc = "Unlock", !.then = "Serve"]
                [] stays /\ ~held  -> [stay EXCEPT !.pc = "Serve"]
                [] ~stays /\ held  -> [@ EXCEPT !.pc = "Withdraw", !.open = FALSE]
                [] ~stays /\ ~held -> [@ EXCEPT !.pc = "Close", !.open = FALSE]]
    /\ UNCHANGED <<cl, conn, point, life, env>>

Withdraw(s) ==
    /\ At(s, "Withdraw")
    /\ file' = IF Mine(s) = s \/ ~Rule("withdraw only mine") THEN Written(s, "Empty") ELSE file
    /\ Goes(s, "Close")
    /\ UNCHANGED <<cl, conn, plock, cur, life, env>>

\* Stop listening, and hang up on whom was not welcomed.
Close(s) ==
    /\ At(s, "Close")
    /\ sv' = [sv EXCEPT ![s].pc = IF sv[s].held THEN "Unlock" ELSE "Drain", ![s].then = IF sv[s].held THEN "Drain" ELSE "",
                        ![s].listen = FALSE, ![s].guest = FALSE, ![s].held = FALSE]
    /\ conn' = Hangup(s, {c \in Clients : conn[c].st # "welcome"})
    /\ life' = IF Rule("lock until drained") THEN life ELSE None
    /\ UNCHANGED <<cl, point, env>>

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

\* Who is left at the drain deadline is hung up on.
Drain(s) ==
    /\ At(s, "Drain") /\ (Rule("drain deadline") \/ Counted(s) = {})
    /\ conn' = Hangup(s, Counted(s))
    /\ Goes(s, "Release")
    /\ UNCHANGED <<cl, point, life, env>>

Release(s) ==
    /\ At(s, "Release")
    /\ life' = IF life = s THEN None ELSE life
    /\ sv' = [sv EXCEPT ![s] = Gone(s, sv[s].reply)]
    /\ conn' = Closed(s)
    /\ UNCHANGED <<cl, point, env>>

\* A process that was killed takes a while to die. Then the system releases its locks and closes its files.
Exit(s) ==
    /\ sv[s].pc = "Dying"
    /\ sv' = [sv EXCEPT ![s] = Gone(s, sv[s].reply)]
    /\ conn' = Closed(s)
    /\ life' = IF life = s THEN None ELSE life
    /\ LetGo(s, file)
    /\ stopped' = stopped \ {s}
    /\ UNCHANGED <<cl, port, from, left, clean, rounds, leaked, tries>>

(***************************************************************************)
(* The server's side of a handshake. Nothing is proved before the server   *)
(* is registered. To verify the client's proof, to count it and to send    *)
(* the welcome is one step, possible only while serving.                   *)
(***************************************************************************)

\* Who is connected already is greeted, even if the socket is gone; Close hangs up on whom it did not welcome.
Greets(s) ==
    /\ Alive(s) /\ s \notin stopped
    /\ sv[s].reg \/ ~Rule("registered")

Answer(s, c) ==
    /\ Greets(s) /\ conn[c].to = s /\ conn[c].st = "hello" /\ ~conn[c].eof
    /\ conn' = [conn EXCEPT ![c].st = "proof"]
    /\ UNCHANGED <<cl, sv, point, life, env>>

Admit(s, c) ==
    /\ Greets(s) /\ conn[c].to = s /\ conn[c].st = "proved" /\ ~conn[c].eof
    /\ LET open == sv[s].open \/ (sv[s].reg /\ ~Rule("shut")) \/ (~sv[s].reg /\ ~Rule("registered"))
       IN /\ conn' = [conn EXCEPT ![c] = IF open THEN [@ EXCEPT !.st = "welcome"] ELSE [@ EXCEPT !.eof = TRUE]]
          /\ sv' = [sv EXCEPT ![s].told = @ \/ (open /\ cl[c].goal = "Retire")]
    /\ UNCHANGED <<cl, point, life, env>>

\* Who is not welcomed in time is hung up on.
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

\* What becomes of a child whose spawner is gone: its orders end. Killed: it dies.
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
    /\ life' = IF life = c THEN None ELSE life
    /\ stopped' = stopped \ {c}
    /\ port' = port /\ from' = from

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

\* The deadline is over, or nobody waits any more: all that is held is released, at whatever step.
GivenUp(c, out) ==
    /\ cl[c].pc \notin {"Out", "Done"} /\ c \notin stopped
    /\ cl' = [cl EXCEPT ![c] = Over(c, out)]
    /\ sv' = Killed(c)
    /\ conn' = [conn EXCEPT ![c] = NoConn]
    /\ LetGo(c, IF cl[c].pc = "Confirm" THEN Written(c, "Empty") ELSE file)
    /\ life' = IF life = c THEN None ELSE life
    /\ stopped' = stopped \ {cl[c].child}
    /\ port' = port /\ from' = from

Giveup(c) == Fault("deadline") /\ GivenUp(c, "Deadline")

\* No descriptors, no memory, no room: our own trouble, returned at once.
Trouble(c) ==
    /\ cl[c].pc \in {"Read", "Lock", "Reread", "Clear", "Spawn", "Await", "Write", "Dial", "Hello", "Prove", "Welcome"}
    /\ Fault("shortage")
    /\ GivenUp(c, "Trouble")

\* The lifetime lock cannot be asked.
CannotTell(c) ==
    /\ In(c, "Probe")
    /\ Fault("shortage")
    /\ LET out == CASE cl[c].row = "Dialect" -> "OtherDialect"
                    [] cl[c].row = "Foreign" -> "ForeignScope"
                    [] OTHER -> "CannotTell"
       IN cl' = [cl EXCEPT ![c] = Ends([cl[c] EXCEPT !.pc = "Unlock", !.row = ""], out)]
    /\ UNCHANGED <<sv, conn, point, life, port, from, stopped>>

\* A server cannot try the point lock: an idle one goes without withdrawing.
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

\* A server waited for the point lock until the drain deadline.
Overdue(s) ==
    /\ At(s, "Backoff")
    /\ Fault("deadline")
    /\ sv' = [sv EXCEPT ![s] = IF sv[s].purpose = "Told" THEN Leaves(s, "Told") ELSE [@ EXCEPT !.pc = "Serve", !.purpose = ""]]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

TooLate(c) ==
    /\ In(c, "Clear")
    /\ Fault("deadline")
    /\ cl' = [cl EXCEPT ![c] = Ends([cl[c] EXCEPT !.pc = "Unlock"], "TooLate")]
    /\ UNCHANGED <<sv, conn, point, life, port, from, stopped>>

\* The file: half a record or a flipped bit; nothing; another's record; an old copy; no file.
Damage(contents) ==
    /\ \E content \in contents \ {file[cur]} : file' = [file EXCEPT ![cur] = content]
    /\ UNCHANGED <<cl, sv, conn, plock, cur, life, port, from, stopped>>

\* Whose record was in the file once: a server that is registered, or was; Unused stands for all that are forgotten.
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

\* The file of a server's socket is removed, or another takes its place: nobody reaches it any more.
Unlink(s) ==
    /\ Alive(s) /\ sv[s].listen
    /\ Fault("unlinked")
    /\ sv' = [sv EXCEPT ![s].listen = FALSE]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

\* The life file is removed, by a cleaner say; or another takes its place, which nobody has locked.
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

\* A dead server's port is taken by somebody who says nothing, or says something else.
Stranger(s) ==
    /\ sv[s].pc = "Free" /\ Refers(s) /\ port[s] = "none"
    /\ Fault("stranger")
    /\ \E manner \in {"silent", "liar"} : port' = [port EXCEPT ![s] = manner]
    /\ UNCHANGED <<cl, sv, conn, point, life, from, stopped>>

\* The point holds a copy of another's: of one in another home from which this was copied, or of another service. The server
\* of that lives, and knows the cookie.
Copy ==
    /\ Fault("copied")
    /\ LET s == Unused IN file' = [file EXCEPT ![cur] = s] /\ port' = [port EXCEPT ![s] = "original"]
    /\ UNCHANGED <<cl, sv, conn, plock, cur, life, from, stopped>>

\* All places are taken: the server says so, and proves it.
Full(s, c) ==
    /\ Greets(s) /\ conn[c].to = s /\ conn[c].st = "proved" /\ ~conn[c].eof
    /\ sv[s].open /\ cl[c].goal \in Connects
    /\ Fault("full")
    /\ conn' = [conn EXCEPT ![c].st = "full"]
    /\ UNCHANGED <<cl, sv, point, life, port, from, stopped>>

\* Somebody connects to a server, and says nothing.
Guest(s) ==
    /\ sv[s].listen /\ Alive(s) /\ ~sv[s].guest
    /\ Fault("guest")
    /\ sv' = [sv EXCEPT ![s].guest = TRUE]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

\* The backlog is full for longer than patience.
Backlog(c) ==
    /\ In(c, "Dial") /\ sv[cl[c].rec].listen
    /\ Fault("backlog")
    /\ Suspect(c)
    /\ UNCHANGED <<sv, point, life, port, from, stopped>>

\* The program: it cannot be executed; has no handler; hangs; talks nonsense. That it dies is KillServer.
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

\* A fork keeps the spawner's end of a child's orders open: they do not end when the spawner does.
Keep(s) ==
    /\ sv[s].pipe = "open"
    /\ Fault("pipe kept")
    /\ sv' = [sv EXCEPT ![s].pipe = "kept"]
    /\ UNCHANGED <<cl, conn, point, life, port, from, stopped>>

(***************************************************************************)
(* All that can happen, and what must happen in the end.                   *)
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
    \/ KillServer(s) \/ StopServer(s) \/ CannotLock(s) \/ CannotReclaim(s) \/ Overdue(s) \/ Unlink(s) \/ Stranger(s) \/ Guest(s) \/ NoHandler(s)
    \/ Hang(s) \/ Nonsense(s) \/ Keep(s)

FileFault == Copy \/ Tear \/ Empty \/ Strange \/ PutBack \/ Delete \/ Vanish \/ Replace

Next ==
    \/ \E c \in Clients : Begin(c) \/ Leave(c) \/ Client(c) \/ ClientFault(c)
    \/ \E s \in Slots : Process(s) \/ Serve(s) \/ Watchdog(s) \/ Exit(s) \/ ServerFault(s)
    \/ \E s \in Slots, c \in Clients : Greeting(s, c) \/ Full(s, c)
    \/ \E x \in Clients \cup Slots : Continue(x)
    \/ FileFault

Safe == Init /\ [][Next]_vars

\* Who runs goes on, and who was stopped is continued. What was said is heard. A server looks after its file, however
\* often it is idle; and if it tries the point lock again and again it also tries when it is free, and gets it in the end
\* (it tries every other millisecond, while a client backs off for up to fifty). Nobody has to begin, to leave, or to
\* tell. Of what is joined here only one is enabled at a time, or any of it will do; for only one server is serving.
Fairness ==
    /\ \A c \in Clients :
        /\ WF_vars(Client(c) \/ Continue(c))
        /\ WF_vars(\E s \in Slots : Answer(s, c) \/ Admit(s, c))
    /\ \A s \in Slots : WF_vars(Process(s) \/ Serve(s) \/ Watchdog(s) \/ Exit(s) \/ Continue(s))
    /\ SF_vars(\E s \in Slots : (Serve(s) /\ sv'[s].pc = "Check") \/ (ServerBackoff(s) /\ plock[cur] = None))
    /\ SF_vars(\E s \in Slots : ServerLock(s) /\ plock[cur] = None)

Spec == Safe /\ Fairness

(***************************************************************************)
(* What must always be true. docs/manual/guarantees.md has these names.    *)
(***************************************************************************)

TypeOK ==
    /\ \A c \in Clients : /\ DOMAIN cl[c] = DOMAIN Idler
                          /\ cl[c].suspect \in Slots \cup {None} /\ cl[c].rec \in Slots \cup {None}
                          /\ cl[c].child \in Slots \cup {None} /\ cl[c].dials \in 0..2 /\ cl[c].starts \in 0..Starts
                          /\ conn[c].to \in Slots \cup {None}
    /\ \A s \in Slots : DOMAIN sv[s] = DOMAIN FreeSlot
    /\ \A i \in Inodes : file[i] \in Contents /\ plock[i] \in Clients \cup Slots \cup {None}
    /\ Away \subseteq Clients /\ Place \in Places /\ Transport \in {"socket", "port"} /\ from \in [Slots -> Places]
    /\ cur \in Inodes /\ life \in Clients \cup Slots \cup {None, Absent}
    /\ stopped \subseteq Clients \cup Slots /\ left \in 0..Budget

\* At most one server of the point is serving, also when the point is deleted.
SingleServing == \A s, t \in Slots : Serving(s) /\ Serving(t) => s = t

\* Handler code runs in at most one process, from before Build to the end of its drain. A life file that is removed opens a
\* window until it is made again: an orphan may claim it. A server that retires looks after its files no more.
TakesLife == Faults \cap {"life removed", "life replaced"} # {}
Unguarded(s) == TakesLife /\ Robbed(s) /\ sv[s].reg /\ ~sv[s].open
Window(s, t) == Unguarded(s) \/ (TakesLife /\ Robbed(s) /\ ~sv[t].reg)
OneHandler == \A s, t \in Slots : Handler(s) /\ Handler(t) => s = t \/ Window(s, t) \/ Window(t, s)

\* The file is changed, and not by a fault of the file.
Damaged  == left' # left /\ cl' = cl /\ sv' = sv
Steps(x) == (x \in Clients /\ cl'[x] # cl[x]) \/ (x \in Slots /\ sv'[x] # sv[x])
Changes(i) == file'[i] # file[i] /\ ~Damaged

\* While a server serves and the file holds its record, only its own retirement changes it.
NoLiveInvalidationStep == \A s \in Slots : Serving(s) /\ file[cur] = s /\ ~Damaged => file'[cur] = s
NoLiveInvalidation == [][NoLiveInvalidationStep]_vars

\* A connect clears or writes only under the point lock, having found the lifetime lock free since it took it.
ClearOnlyIfFreeStep ==
    \A c \in Clients : cl'[c] # cl[c] /\ Changes(cur) /\ cl[c].pc \in {"Clear", "Write", "Confirm"} => Holds(c) /\ cl[c].free
ClearOnlyIfFree == [][ClearOnlyIfFreeStep]_vars

\* Nobody takes the socket of a live server away: itself does, as it retires, or a fault.
NoCutOffStep ==
    \A s \in Slots : Alive(s) /\ sv[s].listen /\ ~sv'[s].listen =>
        (sv[s].pc = "Close" /\ sv'[s].pc # "Close") \/ left' # left \/ Unguarded(s)
NoCutOff == [][NoCutOffStep]_vars

\* No cookie is sent.
CookieSecrecy == leaked = {}

\* A server that is being started has a cookie that nobody but its spawner knows.
CookieFreshness ==
    \A s \in Slots : sv[s].pc \in {"Watch", "Claim"} =>
        /\ \A i \in Inodes : file[i] # s
        /\ \A c \in Clients : s \notin {cl[c].suspect, cl[c].rec, conn[c].to}

\* A welcome comes from a server that serves, with the cookie that was read; and only then is a client connected.
Reports(c) == cl[c].pc = "Welcome" /\ (cl'[c].then = "Welcomed" \/ cl'[c].out = "Welcomed")
AuthenticityStep ==
    \A c \in Clients :
        /\ conn'[c].st = "welcome" /\ conn[c].st # "welcome" => Serving(conn[c].to)
        /\ Reports(c) => conn[c].st = "welcome" /\ conn[c].to = cl[c].rec
Authenticity == [][AuthenticityStep]_vars

\* A client that is connected was counted; it is uncounted only by its own close, the server's end or the drain's
\* deadline; and who retires because it is idle counts nobody.
NoLostConnectStep ==
    /\ \A c \in Clients : Reports(c) => conn[c].st = "welcome"
    /\ \A c \in Clients, s \in Slots :
          Counts(s, c) /\ conn'[c].eof => ~Alive(s) \/ sv[s].pc = "Drain"
    /\ \A s \in Slots : sv[s].pc = "Look" /\ sv[s].why = "Idle" /\ sv[s].open /\ ~sv'[s].open => Counted(s) = {}
NoLostConnect == [][NoLostConnectStep]_vars

\* Every change of the file that is no fault is by the holder of its lock, and who retires withdraws only its own record.
LockDisciplineStep ==
    \A i \in Inodes : Changes(i) =>
        /\ \E x \in Clients \cup Slots : plock[i] = x /\ Steps(x)
        /\ \A s \in Slots : sv[s].pc = "Withdraw" /\ Steps(s) => file[i] = s
LockDiscipline == [][LockDisciplineStep]_vars

\* What is held at each step: proto's Step::holds. So who is over holds nothing.
ClientHolds(c) == cl[c].pc \in {"Reread", "Probe", "Clear", "Spawn", "Await", "Verify", "Write", "Confirm", "Fallback",
                                "Kill", "Unlock"} \/ Holding(c)
ServerHolds(s) ==
    \/ sv[s].pc \in {"Recheck", "Reclaim", "Restore", "Withdraw", "Unlock", "Write"}
    \/ sv[s].hand /\ ~sv[s].reg /\ sv[s].pc \in {"Claim", "Build", "Listen"}
    \/ sv[s].held
HoldsTable ==
    /\ \A c \in Clients : Holds(c) <=> ClientHolds(c)
    /\ \A s \in Slots : sv[s].pc # "Dying" => (Holds(s) <=> ServerHolds(s)) /\ (life = s => LifeHolds(s))
    /\ \A s \in Slots : Robbed(s) => ~Calm /\ TakesLife
    /\ \A c \in Clients : (cl[c].child # None) <=> (cl[c].pc \in {"Await", "Verify", "Write", "Confirm", "Kill"})
    /\ \A c \in Clients : life # c

\* Who holds the point lock waits for nothing that has no deadline of its own, and a server only tries it.
BoundedHold ==
    /\ \A c \in Clients : Holds(c) => cl[c].pc \notin {"Read", "Lock", "Backoff", "Wait", "Out", "Done"}
    /\ \A s \in Slots : Holds(s) => sv[s].pc \notin {"Watch", "Registered", "Serve", "Check", "Lock", "Backoff", "Drain"}
    /\ \A s \in Slots : At(s, "Lock") => ENABLED ServerLock(s)

\* External starts no thread, Internal no process, Robust a thread only after a listed failure, and beside no server.
PolicyFidelity ==
    \A c \in Clients :
        /\ cl[c].out = "Internal" \/ cl[c].then = "Internal" => cl[c].goal \in {"Internal", "Robust"}
        /\ cl[c].goal = "Internal" => cl[c].child = None /\ ~Holds(c)
        /\ cl[c].goal = "Robust" /\ (cl[c].out = "Internal" \/ cl[c].then = "Internal") => cl[c].listed
        /\ cl[c].goal = "Robust" /\ cl[c].pc = "Unlock" /\ cl[c].then = "Internal" => ~\E s \in Slots : Serving(s)

\* Without faults no connect fails, and it dials at most three times. But nobody starts a server at a port of which nobody
\* could tell where it is.
Well(c, out) ==
    \/ out \in {"", "Welcomed"}
    \/ out = "Internal" /\ cl[c].goal = "Internal"
    \/ out = "Start" /\ cl[c].goal = "Serve"
    \/ out = "Absent" /\ cl[c].goal = "Retire"
    \/ out \in {"Failed", "Internal"} /\ Transport = "port" /\ PlaceOf(c) = "nowhere"
NoSpuriousError == Calm => \A c \in Clients : tries[c] <= 3 /\ Well(c, cl[c].out)

\* Every state of a connect has its way out, and whoever takes it holds nothing.
DeadlineEverywhere ==
    \A c \in Clients : cl[c].pc \notin {"Out", "Done"} /\ c \notin stopped => ENABLED GivenUp(c, "Deadline")
NothingHeld ==
    \A c \in Clients : cl[c].pc \in {"Out", "Done"} => ~Holds(c) /\ life # c /\ cl[c].child = None

\* A connect that is over has left no child that is not registered.
NoChildLeft ==
    \A s \in Slots : Alive(s) /\ sv[s].pipe = "open" => \E c \in Clients : cl[c].child = s

\* The model's own: there is always a slot to start in.
SlotsSuffice == \A c \in Clients : cl[c].pc \in {"Clear", "Spawn"} => FreeSlots # {}

(***************************************************************************)
(* What must happen in the end.                                            *)
(***************************************************************************)

\* A server that is not registered exits.
NoOrphan ==
    \A s \in Slots : (Alive(s) /\ ~sv[s].hand /\ ~sv[s].reg) ~> (sv[s].reg \/ sv[s].pc = "Free")

\* Every connect that is not killed ends.
Termination == \A c \in Clients : (cl[c].pc \notin {"Out", "Done"}) ~> (cl[c].pc \in {"Out", "Done"})

\* Every connect that begins after the last fault succeeds. (That all are with one server is SingleServing.)
Convergence ==
    \A c \in Clients : /\ (c \in clean) ~> (c \notin clean \/ cl[c].pc = "Done")
                       /\ [](c \in clean => Well(c, cl[c].out))

RetiredExits == \A s \in Slots : (sv[s].reg /\ ~sv[s].open) ~> (sv[s].pc = "Free")

\* A server whose life file was removed or replaced makes it again, or goes.
LifeRestored == \A s \in Slots : Robbed(s) ~> ~Robbed(s)

\* A server that counts nobody retires in the end, whoever else connects.
IdleEnds == \A s \in Slots : (Serving(s) /\ Counted(s) = {}) ~> (~Serving(s) \/ Counted(s) # {})

===============================================================================
