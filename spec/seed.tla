--------------------------------- MODULE seed ---------------------------------
(***************************************************************************)
(* The protocol of 2018, reduced to what shows its three flaws. There is   *)
(* one file, whose lock a client holds for the whole connect. The client   *)
(* listens for the server and starts it. The first client sends the server *)
(* its cookie; every later client sends the cookie as well.                *)
(*                                                                         *)
(*   - CookieSecrecy falls: a client dials a record and sends the cookie,  *)
(*     but the server is dead and a stranger has its port.                 *)
(*   - Authenticity falls: the client takes that stranger for the server.  *)
(*   - OwnCookie falls: a stranger connects to a new server first, so its  *)
(*     cookie is not the one that its spawner writes into the file.        *)
(***************************************************************************)
CONSTANT Clients

VARIABLES
    pc,         \* client -> its step
    lock,       \* the holder of the file's lock
    file,       \* the cookie in the file, by its owner
    server,     \* the cookie that the server accepts, by its owner; "fresh": it has none yet
    port,       \* the process that listens at the one address
    leaked,     \* the cookies that strangers know
    joined      \* client -> the process that it takes for the server

vars == <<pc, lock, file, server, port, leaked, joined>>

Init ==
    /\ pc = [c \in Clients |-> "Out"] /\ joined = [c \in Clients |-> "none"]
    /\ lock = "none" /\ file = "none" /\ server = "none" /\ port = "closed" /\ leaked = {}

Goes(c, to) == pc' = [pc EXCEPT ![c] = to]

Lock(c) ==
    /\ pc[c] = "Out" /\ lock = "none"
    /\ lock' = c /\ Goes(c, "Read")
    /\ UNCHANGED <<file, server, port, leaked, joined>>

Read(c) ==
    /\ pc[c] = "Read"
    /\ Goes(c, IF file = "none" THEN "Start" ELSE "Dial")
    /\ UNCHANGED <<lock, file, server, port, leaked, joined>>

\* Listens and gives the socket to a new process.
Start(c) ==
    /\ pc[c] = "Start" /\ port = "closed"
    /\ port' = "server" /\ server' = "fresh" /\ Goes(c, "Tell")
    /\ UNCHANGED <<lock, file, leaked, joined>>

\* Connects, sends the cookie and hangs up.
Tell(c) ==
    /\ pc[c] = "Tell"
    /\ server' = IF port = "server" /\ server = "fresh" THEN c ELSE server
    /\ leaked' = IF port = "stranger" THEN leaked \cup {c} ELSE leaked
    /\ Goes(c, IF port = "closed" THEN "Failed" ELSE "Write")
    /\ UNCHANGED <<lock, file, port, joined>>

Write(c) ==
    /\ pc[c] = "Write"
    /\ file' = c /\ Goes(c, "Dial")
    /\ UNCHANGED <<lock, server, port, leaked, joined>>

\* Connects, sends the cookie from the file, and is connected.
Dial(c) ==
    /\ pc[c] = "Dial" /\ port # "closed"
    /\ leaked' = IF port = "stranger" THEN leaked \cup {file} ELSE leaked
    /\ joined' = [joined EXCEPT ![c] = port]
    /\ lock' = "none" /\ Goes(c, "Done")
    /\ UNCHANGED <<file, server, port>>

\* No process listens: the client clears the record.
Invalidate(c) ==
    /\ pc[c] = "Dial" /\ port = "closed"
    /\ file' = "none" /\ lock' = "none" /\ Goes(c, "Out")
    /\ UNCHANGED <<server, port, leaked, joined>>

Die     == port = "server" /\ port' = "closed" /\ server' = "none" /\ UNCHANGED <<pc, lock, file, leaked, joined>>
Squat   == port = "closed" /\ file # "none" /\ port' = "stranger" /\ UNCHANGED <<pc, lock, file, server, leaked, joined>>
Connect == port = "server" /\ server = "fresh" /\ server' = "stranger" /\ UNCHANGED <<pc, lock, file, port, leaked, joined>>

Next ==
    \/ \E c \in Clients : Lock(c) \/ Read(c) \/ Start(c) \/ Tell(c) \/ Write(c) \/ Dial(c) \/ Invalidate(c)
    \/ Die \/ Squat \/ Connect

Spec == Init /\ [][Next]_vars

CookieSecrecy == leaked = {}
Authenticity  == \A c \in Clients : joined[c] # "stranger"
OwnCookie     == server # "stranger"
===============================================================================
