--------------------------------- MODULE core ---------------------------------
(***************************************************************************)
(* The core of the protocol: two locks, one record, and why no two servers *)
(* serve. rendezvous.tla refines it: each of its steps is one of these     *)
(* steps, or changes nothing here. core.ivy has the same steps under the   *)
(* same names, and proves the properties for any number of clients,        *)
(* servers and files.                                                      *)
(*                                                                         *)
(* A file, the point, holds the record of the server. Whoever holds its    *)
(* lock may change it. A server holds the lifetime lock from before its    *)
(* handler exists until its process ends. A client that finds no server    *)
(* takes the point lock and asks the lifetime lock. If it is free, no      *)
(* server lives, so the client clears the record, starts a server, and     *)
(* writes the record of that server when it is ready. A server counts the  *)
(* clients that it welcomes. It retires under the point lock, and then     *)
(* lets them go.                                                           *)
(*                                                                         *)
(* Time, dialling and the handshake are left out: a client may find or not *)
(* find a server, give up, or be killed at any step. Policies only take    *)
(* steps away: a client that joins starts nothing, and an older server     *)
(* that is replaced is one that was asked to retire.                       *)
(***************************************************************************)
CONSTANTS
    Clients,
    Servers,    \* processes, each with a cookie; one that has ended may begin anew when nothing names it
    Inodes,     \* files that were, are or will be at the point's path
    None,
    Deletion,   \* the point may be deleted or replaced by another file
    Copies,     \* an old copy of the point may be put back
    Hindrance,  \* a server may be unable to lock the point, or lose its files to another
    Removal,    \* the life file may be removed or replaced
    Haste       \* a client may ask the lifetime lock before a server has seen that its life file is gone

VARIABLES
    cl,         \* client -> its step, the file whose lock it holds, its child, and the server that counts it
    sv,         \* server -> its step, the file whose lock it holds, and what it is: see Server
    record,     \* inode  -> the server whose record it holds; None if it holds anything else
    path,       \* the inode to which the path of the point leads
    life        \* the server that holds the lock of the file at the path of the life file, if any

vars == <<cl, sv, record, path, life>>

\* A client that holds no lock: it has not begun, looks for a server, is connected, or has ended.
NoClient == [pc |-> "Out", file |-> None, child |-> None, met |-> None]

\* `hand`: it was started by hand. `orphan`: its client was killed before it could tell the server. `told`: it is
\* registered, because its client has told it so, or it has written its own record. `open`: it has not begun to retire
\* since then. `must`: it has to retire, although it counts clients.
NoServer == [pc |-> "Out", file |-> None, hand |-> FALSE, orphan |-> FALSE, told |-> FALSE, open |-> FALSE,
             must |-> FALSE]
Server(hand, file) == [NoServer EXCEPT !.pc = "Claim", !.hand = hand, !.file = file]

Alive(s)    == sv[s].pc \notin {"Out", "Dying"}
Serving(s)  == Alive(s) /\ sv[s].open
Listed(s)   == Alive(s) /\ sv[s].told /\ (sv[s].open \/ sv[s].pc = "Ready")
Retired(s)  == Alive(s) /\ sv[s].told /\ ~Listed(s)
Owns(s)     == Alive(s) /\ sv[s].pc # "Claim"
\* A killed process may run for a while.
Handler(s)  == (Owns(s) /\ sv[s].pc # "Release") \/ (sv[s].pc = "Dying" /\ life = s)
Locked(i)   == (\E c \in Clients : cl[c].file = i) \/ (\E s \in Servers : sv[s].file = i)
HasChild(c) == cl[c].child # None
ChildSteps  == {"Await", "Verify", "Write", "Confirm", "Kill"}
Counted(s)  == {c \in Clients : cl[c].met = s}
Names(s)    == (\E i \in Inodes : record[i] = s) \/ (\E c \in Clients : cl[c].child = s)

\* A file that is unlocked and has no path is gone.
LetGo(i, r) == record' = IF i = path \/ i = None THEN r ELSE [r EXCEPT ![i] = None]

Init ==
    /\ cl = [c \in Clients |-> NoClient]
    /\ sv = [s \in Servers |-> NoServer]
    /\ record = [i \in Inodes |-> None]
    /\ path \in Inodes
    /\ life = None

(***************************************************************************)
(* The client.                                                             *)
(***************************************************************************)

At(c, pc) == cl[c].pc = pc
Goes(c, pc) == cl' = [cl EXCEPT ![c].pc = pc]

\* A server counts the client and welcomes it, whether or not the client holds the lock meanwhile.
Admit(c, s) ==
    /\ cl[c].pc \in {"Out", "Locked"} /\ cl[c].met = None /\ Serving(s)
    /\ cl' = [cl EXCEPT ![c].met = s]
    /\ UNCHANGED <<sv, record, path, life>>

\* It closes its connection, or is killed.
Depart(c) ==
    /\ At(c, "Out") /\ cl[c].met # None
    /\ cl' = [cl EXCEPT ![c].met = None]
    /\ UNCHANGED <<sv, record, path, life>>

Lock(c) ==
    /\ At(c, "Out") /\ cl[c].met = None /\ ~Locked(path)
    /\ cl' = [cl EXCEPT ![c].pc = "Locked", ![c].file = path]
    /\ UNCHANGED <<sv, record, path, life>>

\* The lifetime lock is free, so no server lives. A client that finds no life file waits until each server that runs has
\* looked at its own.
Probe(c) ==
    /\ At(c, "Locked") /\ cl[c].met = None /\ life = None
    /\ Removal /\ ~Haste => \A s \in Servers : ~Listed(s)
    /\ Goes(c, "Clear")
    /\ UNCHANGED <<sv, record, path, life>>

\* The lifetime lock is held, the client was welcomed, may not start a server, or has no time left.
Leave(c) == cl[c].pc \in {"Locked", "Clear", "Spawn"} /\ Goes(c, "Unlock") /\ UNCHANGED <<sv, record, path, life>>

Clear(c) ==
    /\ At(c, "Clear")
    /\ record' = [record EXCEPT ![cl[c].file] = None]
    /\ Goes(c, "Spawn")
    /\ UNCHANGED <<sv, path, life>>

\* The client becomes a server and keeps the lock.
ClearByHand(c, s) ==
    /\ At(c, "Clear") /\ sv[s].pc = "Out" /\ ~Names(s)
    /\ record' = [record EXCEPT ![cl[c].file] = None]
    /\ sv' = [sv EXCEPT ![s] = Server(TRUE, cl[c].file)]
    /\ cl' = [cl EXCEPT ![c].pc = "Out", ![c].file = None]
    /\ UNCHANGED <<path, life>>

\* Nothing names the new server yet: its cookie is fresh.
Spawn(c, s) ==
    /\ At(c, "Spawn") /\ sv[s].pc = "Out" /\ ~Names(s)
    /\ sv' = [sv EXCEPT ![s] = Server(FALSE, None)]
    /\ cl' = [cl EXCEPT ![c].pc = "Await", ![c].child = s]
    /\ UNCHANGED <<record, path, life>>

\* The child has said that it is ready. It may have ended since then.
Await(c) ==
    /\ At(c, "Await") /\ sv[cl[c].child].pc \in {"Ready", "Dying", "Out"}
    /\ Goes(c, "Verify")
    /\ UNCHANGED <<sv, record, path, life>>

Verify(c) == At(c, "Verify") /\ life # None /\ Goes(c, "Write") /\ UNCHANGED <<sv, record, path, life>>

Write(c) ==
    /\ At(c, "Write")
    /\ record' = [record EXCEPT ![cl[c].file] = cl[c].child]
    /\ Goes(c, "Confirm")
    /\ UNCHANGED <<sv, path, life>>

\* The child may serve. The client keeps the lock to dial it, and starts over if that fails.
Confirm(c) ==
    /\ At(c, "Confirm")
    /\ sv' = [sv EXCEPT ![cl[c].child].told = Alive(cl[c].child)]
    /\ cl' = [cl EXCEPT ![c].pc = "Locked", ![c].child = None]
    /\ UNCHANGED <<record, path, life>>

\* The child is busy, failed, late, or cannot be verified.
Reject(c) == cl[c].pc \in {"Await", "Verify"} /\ Goes(c, "Kill") /\ UNCHANGED <<sv, record, path, life>>

Dies(s) == [sv EXCEPT ![s].pc = "Dying", ![s].orphan = FALSE]
Dead(s) == IF Alive(s) THEN Dies(s) ELSE sv

Kill(c) ==
    /\ At(c, "Kill")
    /\ sv' = Dead(cl[c].child)
    /\ cl' = [cl EXCEPT ![c].pc = "Unlock", ![c].child = None]
    /\ UNCHANGED <<record, path, life>>

Unlock(c) ==
    /\ At(c, "Unlock")
    /\ cl' = [cl EXCEPT ![c].pc = "Out", ![c].file = None]
    /\ LetGo(cl[c].file, record)
    /\ UNCHANGED <<sv, path, life>>

\* The client's time is over, its caller dropped it, or it is short of something. Between Write and Confirm it takes the
\* record back.
GiveUp(c) ==
    /\ cl[c].pc # "Out"
    /\ LetGo(cl[c].file, IF At(c, "Confirm") THEN [record EXCEPT ![cl[c].file] = None] ELSE record)
    /\ sv' = IF HasChild(c) THEN Dead(cl[c].child) ELSE sv
    /\ cl' = [cl EXCEPT ![c] = NoClient]
    /\ UNCHANGED <<path, life>>

\* A client is killed at any step. Its child, if it lives, is an orphan, which ends by its watchdog.
KillClient(c) ==
    /\ cl[c].pc # "Out"
    /\ LetGo(cl[c].file, record)
    /\ sv' = IF HasChild(c) /\ Alive(cl[c].child) THEN [sv EXCEPT ![cl[c].child].orphan = TRUE] ELSE sv
    /\ cl' = [cl EXCEPT ![c] = NoClient]
    /\ UNCHANGED <<path, life>>

(***************************************************************************)
(* The server.                                                             *)
(***************************************************************************)

Is(s, pc) == sv[s].pc = pc
Turns(s, pc) == sv' = [sv EXCEPT ![s].pc = pc]

Claim(s) == Is(s, "Claim") /\ life = None /\ life' = s /\ Turns(s, "Build") /\ UNCHANGED <<cl, record, path>>

Busy(s) ==
    /\ Is(s, "Claim")
    /\ sv' = [sv EXCEPT ![s] = NoServer]
    /\ LetGo(sv[s].file, record)
    /\ UNCHANGED <<cl, path, life>>

Fail(s) ==
    /\ Is(s, "Build")
    /\ sv' = [sv EXCEPT ![s].pc = "Release", ![s].file = None]
    /\ LetGo(sv[s].file, record)
    /\ UNCHANGED <<cl, path, life>>

\* It has a handler and listens.
Build(s) ==
    /\ Is(s, "Build") /\ Turns(s, IF sv[s].hand THEN "Write" ELSE "Ready")
    /\ UNCHANGED <<cl, record, path, life>>

Registered(s) ==
    /\ Is(s, "Ready") /\ sv[s].told
    /\ sv' = [sv EXCEPT ![s].pc = "Serve", ![s].open = TRUE]
    /\ UNCHANGED <<cl, record, path, life>>

\* A server by hand writes its own record.
ServerWrite(s) ==
    /\ Is(s, "Write")
    /\ record' = [record EXCEPT ![sv[s].file] = s]
    /\ sv' = [sv EXCEPT ![s].pc = "Unlock", ![s].told = TRUE, ![s].open = TRUE]
    /\ UNCHANGED <<cl, path, life>>

ServerUnlock(s) ==
    /\ Is(s, "Unlock")
    /\ sv' = [sv EXCEPT ![s].pc = "Serve", ![s].file = None]
    /\ LetGo(sv[s].file, record)
    /\ UNCHANGED <<cl, path, life>>

\* A client, a signal or the handler asks it to retire, or its files are another's.
Demand(s) == Serving(s) /\ sv' = [sv EXCEPT ![s].must = TRUE] /\ UNCHANGED <<cl, record, path, life>>

\* Locks the point, to restore its record or to retire.
ServerLock(s) ==
    /\ Is(s, "Serve") /\ ~Locked(path)
    /\ \E pc \in {"Recheck", "Look"} : sv' = [sv EXCEPT ![s].pc = pc, ![s].file = path]
    /\ UNCHANGED <<cl, record, path, life>>

\* The record is whole or damaged; or it is another's, and this server must retire. It restores its record only while it
\* has the lifetime lock.
Recheck(s) ==
    /\ Is(s, "Recheck")
    /\ \E pc \in {"Restore", "Unlock"}, lost \in BOOLEAN :
        /\ pc = "Restore" => life = s
        /\ sv' = [sv EXCEPT ![s].pc = pc, ![s].must = @ \/ lost]
    /\ UNCHANGED <<cl, record, path, life>>

\* Its life file was removed: it makes it again and locks it.
Reclaim(s) == Is(s, "Recheck") /\ life = None /\ life' = s /\ UNCHANGED <<cl, sv, record, path>>

Restore(s) ==
    /\ Is(s, "Restore")
    /\ record' = [record EXCEPT ![sv[s].file] = s]
    /\ Turns(s, "Unlock")
    /\ UNCHANGED <<cl, path, life>>

\* It counts a client: an idle server looks again when it has the lock.
Stay(s) == Is(s, "Look") /\ Turns(s, "Unlock") /\ UNCHANGED <<cl, record, path, life>>

MayEnd(s) == Counted(s) = {} \/ sv[s].must

\* It counts no client any more.
Shut(s) ==
    /\ Is(s, "Look") /\ MayEnd(s)
    /\ sv' = [sv EXCEPT ![s].pc = "Withdraw", ![s].open = FALSE]
    /\ UNCHANGED <<cl, record, path, life>>

\* It cannot have the lock, or another server has its files. It withdraws nothing.
ShutUnlocked(s) ==
    /\ Hindrance /\ Is(s, "Serve") /\ MayEnd(s)
    /\ sv' = [sv EXCEPT ![s].pc = "Drain", ![s].open = FALSE]
    /\ UNCHANGED <<cl, record, path, life>>

Withdraw(s) ==
    /\ Is(s, "Withdraw")
    /\ record' = IF record[sv[s].file] = s THEN [record EXCEPT ![sv[s].file] = None] ELSE record
    /\ Turns(s, "Leave")
    /\ UNCHANGED <<cl, path, life>>

ServerLeave(s) ==
    /\ Is(s, "Leave")
    /\ sv' = [sv EXCEPT ![s].pc = "Drain", ![s].file = None]
    /\ LetGo(sv[s].file, record)
    /\ UNCHANGED <<cl, path, life>>

HangUp(s) == cl' = [c \in Clients |-> IF cl[c].met = s THEN [cl[c] EXCEPT !.met = None] ELSE cl[c]]

\* Its clients have gone, or the drain's deadline is over. A server that keeps its sessions has no deadline.
Drain(s) == Is(s, "Drain") /\ HangUp(s) /\ Turns(s, "Release") /\ UNCHANGED <<record, path, life>>

Release(s) ==
    /\ Is(s, "Release")
    /\ sv' = [sv EXCEPT ![s] = NoServer]
    /\ life' = IF life = s THEN None ELSE life
    /\ UNCHANGED <<cl, record, path>>

\* It is killed, or its watchdog ends it, at any step. A killed process takes a while to die.
KillServer(s) == Alive(s) /\ sv' = Dies(s) /\ UNCHANGED <<cl, record, path, life>>

Exit(s) ==
    /\ Is(s, "Dying")
    /\ sv' = [sv EXCEPT ![s] = NoServer]
    /\ HangUp(s)
    /\ life' = IF life = s THEN None ELSE life
    /\ LetGo(sv[s].file, record)
    /\ path' = path

(***************************************************************************)
(* What else befalls the files.                                            *)
(***************************************************************************)

\* The point is emptied, torn, or written by something else.
Emptied == record' = [record EXCEPT ![path] = None] /\ UNCHANGED <<cl, sv, path, life>>

\* An old copy of the point is put back, or another point's. A copy that was made before the server was told is of no
\* live server, unless it equals the point.
PutBack(s) ==
    /\ Is(s, "Out") \/ (Copies /\ sv[s].told)
    /\ record' = [record EXCEPT ![path] = s]
    /\ UNCHANGED <<cl, sv, path, life>>

\* The next file at the path is a new one.
Deleted(i) ==
    /\ Deletion /\ i # path /\ ~Locked(i) /\ record[i] = None
    /\ path' = i
    /\ record' = IF Locked(path) THEN record ELSE [record EXCEPT ![path] = None]
    /\ UNCHANGED <<cl, sv, life>>

Vanished == Removal /\ life' = None /\ UNCHANGED <<cl, sv, record, path>>

Next ==
    \/ \E c \in Clients :
        \/ Depart(c) \/ Lock(c) \/ Probe(c) \/ Leave(c) \/ Clear(c) \/ Await(c) \/ Verify(c) \/ Write(c) \/ Confirm(c)
        \/ Reject(c) \/ Kill(c) \/ Unlock(c) \/ GiveUp(c) \/ KillClient(c)
        \/ \E s \in Servers : Admit(c, s) \/ ClearByHand(c, s) \/ Spawn(c, s)
    \/ \E s \in Servers :
        \/ Claim(s) \/ Busy(s) \/ Fail(s) \/ Build(s) \/ Registered(s) \/ ServerWrite(s) \/ ServerUnlock(s)
        \/ Demand(s) \/ ServerLock(s) \/ Recheck(s) \/ Reclaim(s) \/ Restore(s) \/ Stay(s) \/ Shut(s) \/ ShutUnlocked(s)
        \/ Withdraw(s) \/ ServerLeave(s) \/ Drain(s) \/ Release(s) \/ KillServer(s) \/ Exit(s) \/ PutBack(s)
    \/ \E i \in Inodes : Deleted(i)
    \/ Emptied \/ Vanished

Spec == Init /\ [][Next]_vars

\* The record of a live server is put back, and not in the file in which it was registered.
Revival == Deletion /\ Copies

\* No client starts a server before another has seen that its life file is gone.
Noticed == Removal => ~Haste /\ ~Deletion

(***************************************************************************)
(* What is claimed.                                                        *)
(***************************************************************************)

\* While its life file is gone, a server may run beside another: one of them retires, or is not registered. If a client
\* was hasty, or the point was deleted as well, both may serve, until the first looks at its files.
Window(s, t)  == life # s /\ (Noticed => Retired(s) \/ ~sv[s].told \/ ~sv[t].told)
SingleServing == \A s, t \in Servers : Serving(s) /\ Serving(t) => s = t \/ (~Noticed /\ (life # s \/ life # t))
OneHandler    == \A s, t \in Servers : Handler(s) /\ Handler(t) => s = t \/ Window(s, t) \/ Window(t, s)

\* A server that was not registered serves nobody. It is the child of a client, or an orphan: no client that gives up
\* leaves its child alive, nor its record.
OpenWasTold  == \A s \in Servers : sv[s].open => sv[s].told
NoChildLeft  == \A s \in Servers : Alive(s) /\ ~sv[s].hand /\ ~sv[s].told =>
                   sv[s].orphan \/ \E c \in Clients : cl[c].child = s
NoRecordLeft == [][\A c \in Clients, i \in Inodes :
    GiveUp(c) /\ HasChild(c) /\ Alive(cl[c].child) => record'[i] # cl[c].child]_vars

\* No step of a client or of another server takes the record of a serving server away, unless its life file or its point
\* is gone anyway. A client that has found no server may still be about to clear the point while another file becomes the
\* point, a server is registered in the old one, and its record is put back in the new one: with both faults the server
\* has to restore it.
NoLiveInvalidation == [][\A s \in Servers, i \in Inodes :
    ~Revival /\ Serving(s) /\ life = s /\ record[i] = s /\ record'[i] # s => (cl' = cl /\ sv' = sv) \/ i # path]_vars

\* A client is counted until it leaves or its server ends. A server that counts a client serves, unless it had to retire;
\* then it drains.
NoLostConnect == \A c \in Clients, s \in Servers : cl[c].met = s =>
    Serving(s) \/ Is(s, "Dying") \/ (sv[s].must /\ sv[s].pc \in {"Withdraw", "Leave", "Drain"})

\* A client that holds the lock reads the record of no server that retires: that server will welcome it, or is dead.
RetiresUnderLock == ~Deletion /\ ~Copies /\ ~Hindrance => \A c \in Clients, s \in Servers :
    cl[c].file = path /\ record[path] = s /\ Alive(s) /\ sv[s].told => Serving(s) \/ Is(s, "Ready")

(***************************************************************************)
(* Why: together with the above, an invariant that each step keeps.        *)
(***************************************************************************)

ClientLocks(c) == cl[c].pc # "Out"
ServerLocks(s) == sv[s].file # None
Starting(s)    == sv[s].hand /\ sv[s].pc \in {"Claim", "Build", "Write"}
Writes(s)      == Starting(s) \/ Is(s, "Restore")
FoundFree(c)   == cl[c].pc \in {"Clear", "Spawn"} \cup ChildSteps

OneRecord           == \A i \in Inodes : record[i] \in Servers \cup {None}
OneLife             == life \in Servers \cup {None}
LifeIsHeld          == ~Removal => \A s \in Servers : Owns(s) => life = s
LifeHasAHolder      == \A s \in Servers : life = s => Owns(s) \/ Is(s, "Dying")
OpenSteps           == \A s \in Servers : Alive(s) =>
                          (sv[s].open <=> sv[s].pc \in {"Serve", "Recheck", "Restore", "Unlock", "Look"})
OneClientLocks      == \A c, d \in Clients : ClientLocks(c) /\ ClientLocks(d) /\ cl[c].file = cl[d].file => c = d
ClientOrServerLocks == \A c \in Clients, s \in Servers : ClientLocks(c) /\ ServerLocks(s) => cl[c].file # sv[s].file
OneServerLocks      == \A s, t \in Servers : ServerLocks(s) /\ ServerLocks(t) /\ sv[s].file = sv[t].file => s = t
OneMet              == \A c \in Clients : cl[c].met \in Servers \cup {None}
MetSteps            == \A c \in Clients : cl[c].met # None => cl[c].pc \in {"Out", "Locked", "Unlock"}
LockedSteps         == \A s \in Servers :
                          sv[s].pc \in {"Recheck", "Restore", "Unlock", "Look", "Withdraw", "Leave", "Write"}
                              => ServerLocks(s)
HandLocks           == \A s \in Servers : sv[s].hand /\ sv[s].pc \in {"Claim", "Build"} => ServerLocks(s)
OutIsBlank          == \A s \in Servers : Is(s, "Out") => sv[s] = NoServer /\ life # s
OneChild            == \A c \in Clients : cl[c].child \in Servers \cup {None}
OneParent           == \A c, d \in Clients : HasChild(c) /\ HasChild(d) /\ cl[c].child = cl[d].child => c = d
ParentSteps         == \A c \in Clients : HasChild(c) => cl[c].pc \in ChildSteps
ChildIsNew          == \A c \in Clients : HasChild(c) =>
                          LET s == sv[cl[c].child] IN ~s.told /\ ~s.open /\ ~s.hand /\ ~s.orphan /\ s.file = None
OrphanIsNew         == \A s \in Servers : sv[s].orphan => Alive(s) /\ ~sv[s].told /\ ~sv[s].hand
HandSteps           == \A s \in Servers : sv[s].hand => ~Is(s, "Ready")
WriteIsByHand       == \A s \in Servers : Is(s, "Write") => sv[s].hand
ClientPath          == ~Deletion => \A c \in Clients : ClientLocks(c) => cl[c].file = path
ServerPath          == ~Deletion => \A s \in Servers : ServerLocks(s) => sv[s].file = path
ReadyChild          == \A c \in Clients : cl[c].pc \in {"Verify", "Write", "Confirm"} =>
                          sv[cl[c].child].pc \in {"Ready", "Dying", "Out"}
ToldSteps           == \A s \in Servers : sv[s].told /\ Alive(s) => sv[s].pc \notin {"Claim", "Build", "Write"}
ChildRecord         == \A c \in Clients, i \in Inodes :
                          HasChild(c) /\ Alive(cl[c].child) /\ record[i] = cl[c].child
                              => At(c, "Confirm") /\ i = cl[c].file
HandRecord          == \A s \in Servers, i \in Inodes :
                          Starting(s) => record[i] # s
Withdrawn           == ~Deletion /\ ~Copies /\ ~Hindrance => \A s \in Servers :
                          sv[s].told /\ sv[s].pc \in {"Leave", "Drain", "Release"} => record[path] # s
OneListed           == Noticed => \A s, t \in Servers : Listed(s) /\ sv[t].told => s = t \/ (life # t /\ ~Listed(t))
Nobody              == ~Deletion => \A c \in Clients, s \in Servers : FoundFree(c) /\ sv[s].told => life # s
NobodyServes        == ~Deletion /\ Noticed => \A c \in Clients, s \in Servers : FoundFree(c) => ~Listed(s)
NobodyElse          == ~Deletion => \A s, t \in Servers : Writes(s) /\ sv[t].told /\ s # t => life # t
NobodyElseServes    == ~Deletion /\ Noticed => \A s, t \in Servers : Starting(s) => ~Listed(t)
NotInThisFile       == ~Revival => \A c \in Clients, s \in Servers :
                          FoundFree(c) /\ Listed(s) /\ life = s /\ cl[c].file = path => record[path] # s
NotInItsFile        == ~Revival => \A s, t \in Servers :
                          Writes(s) /\ Listed(t) /\ life = t /\ s # t /\ sv[s].file = path => record[path] # t
NotAtThePath        == Deletion /\ ~Revival => \A s \in Servers : ServerLocks(s) /\ Listed(s) /\ sv[s].file # path
                          => record[path] # s
===============================================================================
