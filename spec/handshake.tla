------------------------------ MODULE handshake ------------------------------
(***************************************************************************)
(* The handshake: client and server prove to each other that they know     *)
(* the cookie, which is not sent. rendezvous.tla takes it for one that     *)
(* nobody can forge; this module shows what makes it so.                   *)
(*                                                                         *)
(*   client                                     server                     *)
(*     hello         version, intent, nonce  ->                            *)
(*                   nonce, answer, MAC      <-  ServerProof               *)
(*     ClientProof   claim, MAC              ->                            *)
(*                   last, MAC               <-  Welcome                   *)
(*                                                                         *)
(* Messages are terms. A MAC is the pair of its key and of the sequence    *)
(* that it covers, and only a process that knows the key can make one.     *)
(*                                                                         *)
(* The attacker is in the middle of every connection: it owns the ports of *)
(* dead servers, other homes and the loopback of other containers, and it  *)
(* may hear a port. So it has all MACs that were ever sent. It delivers    *)
(* any of them, with anything around it, to anybody, as often and as late  *)
(* as it likes, or never. It cannot read the point of a live server.       *)
(*                                                                         *)
(* A run of a client is one handshake of a client; a connection is one     *)
(* handshake of a server. README.md beside this file says what each field  *)
(* of a MAC is needed for. MChandshake.tla bounds what is explored.        *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, Sequences

CONSTANTS
    Clients,    \* the runs of clients; each stands for its nonce, too
    Conns,      \* the connections of servers; each stands for its nonce, too
    Stranger,   \* a nonce of the attacker
    None,       \* no nonce
    Points,     \* the points that clients read: see Named
    Versions,   \* the versions of the clients' handshake
    Intents,    \* what clients ask for
    Claims,     \* what clients state of themselves: protocol, version of the service
    Read,       \* the servers whose records the attacker has read
    Unproved,   \* the messages that have no MAC
    Without     \* the fields that no MAC covers, and the rules that are taken out

VARIABLES
    cl,         \* run of a client -> its state
    sv,         \* connection -> the state of its server's side
    heard       \* message -> all MACs of it that were sent

vars == <<cl, sv, heard>>

Rule(name) == name \notin Without

(***************************************************************************)
(* Servers and points.                                                     *)
(*                                                                         *)
(* All servers know their own record, point and version. Two that are dead *)
(* had the point of the live one before: one at another address, one in    *)
(* another scope. Cookies are drawn anew at each start.                    *)
(***************************************************************************)

Servers == {"live", "dead", "elsewhere", "theirs", "old"}
Alive   == {"live", "theirs", "old"}

Cookie(s)  == CASE s \in {"dead", "elsewhere"} /\ ~Rule("fresh cookie") -> "cookie of live"
                [] s = "live"      -> "cookie of live"
                [] s = "dead"      -> "cookie of dead"
                [] s = "elsewhere" -> "cookie of elsewhere"
                [] s = "theirs"    -> "cookie of theirs"
                [] s = "old"       -> "cookie of old"
Address(s) == IF s \in {"live", "elsewhere"} THEN "address of live" ELSE "another address"
Scope(s)   == IF s = "elsewhere" THEN "there" ELSE "here"
Speaks(s)  == IF s = "old" THEN 1 ELSE 2

\* The record that a point holds. A copy is in another home than its server's; a point that was rolled back holds the
\* record of a dead server.
Named(p) == CASE p \in {"point", "copy"}               -> "live"
              [] p = "rolled back"                     -> "dead"
              [] p = "rolled back to elsewhere"        -> "elsewhere"
              [] p = "another's point"                 -> "theirs"
              [] p \in {"old point", "copy of old"}    -> "old"

\* The identity of a point, as a client sees it, and as a server does.
Seen(p)  == CASE p \in {"point", "rolled back", "rolled back to elsewhere"} -> "home of live"
              [] p = "another's point"                 -> "home of theirs"
              [] p = "old point"                       -> "home of old"
              [] p \in {"copy", "copy of old"}         -> "another home"
Home(s)  == CASE s \in {"live", "dead", "elsewhere"}   -> "home of live"
              [] s = "theirs"                          -> "home of theirs"
              [] s = "old"                             -> "home of old"

(***************************************************************************)
(* The MACs.                                                               *)
(*                                                                         *)
(* Covers has the fields that each MAC covers, in their order, as has the  *)
(* file transcripts.txt, to which a test compares the code. The length of  *)
(* each field goes before it, so two different sequences of fields are two *)
(* different texts.                                                        *)
(***************************************************************************)

Messages == {"ServerProof", "Refusal", "ClientProof", "Welcome"}

Covers(m) ==
    LET head == <<"label", "dialect", "role", "version", "intent", "boot", "namespace", "machine", "address">>
        tail == <<"client", "server", "answer">>
    IN  CASE m = "ServerProof" -> head \o <<"identity">> \o tail
          [] m = "Refusal"     -> head \o tail
          [] m = "ClientProof" -> head \o <<"identity">> \o tail \o <<"claim">>
          [] m = "Welcome"     -> head \o <<"identity">> \o tail \o <<"claim", "last">>

Covered == [m \in Messages |-> SelectSeq(Covers(m), LAMBDA field : Rule(field))]

\* An answer has a verdict and the server's version; the latter is also the version of the service, "yes, newer".
Answers  == {"yes", "yes, newer", "no: version", "no: intent", "yes, version 1", "no: version, version 1",
             "no: intent, version 1"}
Speaker(answer) == IF answer \in {"yes", "yes, newer", "no: version", "no: intent"} THEN 2 ELSE 1
Refuses(answer) == answer \notin {"yes", "yes, newer", "yes, version 1"}

\* An answer of another version than 2, or to another one, is proved as version 1 did.
IsFrozen(version, answer) == version # 2 \/ Speaker(answer) # 2
Proof(version, answer)    == IF IsFrozen(version, answer) THEN "Refusal" ELSE "ServerProof"

\* The text of a MAC: s is the server whose record is used, identity the point as this side sees it, t the rest.
Text(m, s, identity, t) ==
    LET value(field) == CASE field = "label"     -> IF m = "Refusal" THEN "handshake" ELSE "handshake 2"
                          [] field = "dialect"   -> "native"
                          [] field = "role"      -> IF m = "Refusal" THEN "ServerProof" ELSE m
                          [] field = "version"   -> IF t.version = 1 THEN "1" ELSE "2"
                          [] field = "intent"    -> t.intent
                          [] field = "boot"      -> Scope(s)
                          [] field = "namespace" -> Scope(s)
                          [] field = "machine"   -> Scope(s)
                          [] field = "address"   -> Address(s)
                          [] field = "identity"  -> identity
                          [] field = "client"    -> t.client
                          [] field = "server"    -> t.server
                          [] field = "answer"    -> t.answer
                          [] field = "claim"     -> t.claim
                          [] field = "last"      -> t.last
    IN  [i \in DOMAIN Covered[m] |-> value(Covered[m][i])]

Mac(m, s, identity, t) == <<Cookie(s), Text(m, s, identity, t)>>
ByClient(m, c, t) == Mac(m, Named(cl[c].point), Seen(cl[c].point), t)
ByServer(m, v, t) == Mac(m, sv[v].of, Home(sv[v].of), t)

\* The attacker hears each message.
Sends(m, mac) == heard' = [heard EXCEPT ![m] = @ \cup {mac}]

\* Whether the attacker can deliver a message that has to end in this MAC.
Delivered(m, mac) == \/ m \in Unproved
                     \/ \E sent \in Messages : mac \in heard[sent]
                     \/ \E s \in Read : mac[1] = Cookie(s)

(***************************************************************************)
(* The steps. What surrounds a MAC is any value: the attacker chooses.     *)
(***************************************************************************)

Nothing == [version |-> 0, intent |-> "", client |-> None, server |-> None, answer |-> "", claim |-> "", last |-> ""]

Init ==
    /\ cl = [c \in Clients |-> [pc |-> "Out", point |-> "", at |-> "", proved |-> FALSE, t |-> Nothing]]
    /\ sv = [v \in Conns |-> [pc |-> "Free", of |-> "", late |-> {}, t |-> Nothing]]
    /\ heard = [m \in Messages |-> {}]

\* A client reads a point, dials the address that the record names, from its own place, and sends a hello. It dials no
\* record of another place.
Hello(c) ==
    /\ cl[c].pc = "Out"
    /\ \E p \in Points, at \in {"here", "there"}, n \in Versions, i \in Intents, k \in Claims :
        /\ Rule("reach") => at = Scope(Named(p))
        /\ cl' = [cl EXCEPT ![c] = [pc |-> "Hello", point |-> p, at |-> at, proved |-> FALSE,
                                    t |-> [Nothing EXCEPT !.version = n, !.intent = i, !.client = c, !.claim = k]]]
    /\ UNCHANGED <<sv, heard>>

\* The answer of a server that speaks version s to a hello of version n with intent i.
Replies(s, n, i) == CASE s = 2 /\ n = 2 /\ i # "unknown" -> "yes"
                      [] s = 2 /\ n = 2 /\ i = "unknown" -> "no: intent"
                      [] s = 2 /\ n # 2                  -> "no: version"
                      [] s = 1 /\ n = 1 /\ i # "unknown" -> "yes, version 1"
                      [] s = 1 /\ n = 1 /\ i = "unknown" -> "no: intent, version 1"
                      [] s = 1 /\ n # 1                  -> "no: version, version 1"

\* A server receives a hello, and proves its answer. It remembers, for InTime, which clients had given up by then.
Answer(v) ==
    /\ sv[v].pc = "Free"
    /\ \E s \in Alive, n \in {1, 2}, i \in Intents \cup {"unknown"}, nonce \in Clients \cup {Stranger} :
        /\ \E p \in Points : Cookie(Named(p)) = Cookie(s)       \* the MACs of other servers are of no use
        /\ nonce \in Clients => cl[nonce].pc # "Out"
        /\ LET t == [Nothing EXCEPT !.version = n, !.intent = i, !.client = nonce, !.server = v,
                                    !.answer = Replies(Speaks(s), n, i)]
               m == Proof(t.version, t.answer)
           IN  /\ sv' = [sv EXCEPT ![v] = [pc |-> "Answered", of |-> s, late |-> {c \in Clients : cl[c].pc = "Gone"},
                                           t |-> t]]
               /\ Sends(m, Mac(m, s, Home(s), t))
    /\ UNCHANGED cl

\* A client receives a proof. If it is right, the client sends its own, or is refused. A client of version 2 takes a yes
\* of version 1 for garbage. What follows a yes of version 1 is not modelled.
Prove(c) ==
    /\ cl[c].pc = "Hello"
    /\ \E nonce \in Conns \cup {Stranger}, answer \in Answers :
        LET t == [cl[c].t EXCEPT !.server = nonce, !.answer = answer]
            m == Proof(t.version, answer)
            proves == answer = "yes" /\ t.version = 2
        IN  /\ Speaker(answer) = t.version \/ Refuses(answer)
            /\ Delivered(m, ByClient(m, c, t))
            /\ cl' = [cl EXCEPT ![c].pc = IF proves THEN "Proved" ELSE "Done", ![c].proved = proves, ![c].t = t]
            /\ IF proves THEN Sends("ClientProof", ByClient("ClientProof", c, t)) ELSE UNCHANGED heard
    /\ UNCHANGED sv

\* A server receives the client's proof. If it is right, the server counts the client, or is full, and says so.
Admit(v) ==
    /\ sv[v].pc = "Answered" /\ sv[v].t.answer = "yes"
    /\ \E k \in Claims, last \in {"welcome", "full"} :
        LET t == [sv[v].t EXCEPT !.claim = k, !.last = last]
        IN  /\ Delivered("ClientProof", ByServer("ClientProof", v, t))
            /\ sv' = [sv EXCEPT ![v].pc = "Admitted", ![v].t = t]
            /\ Sends("Welcome", ByServer("Welcome", v, t))
    /\ UNCHANGED cl

Welcome(c) ==
    /\ cl[c].pc = "Proved"
    /\ \E last \in {"welcome", "full"} :
        LET t == [cl[c].t EXCEPT !.last = last]
        IN  /\ Delivered("Welcome", ByClient("Welcome", c, t))
            /\ cl' = [cl EXCEPT ![c].pc = "Done", ![c].t = t]
    /\ UNCHANGED <<sv, heard>>

\* A client's time is over, or its future is dropped. Its messages may still arrive.
GiveUp(c) ==
    /\ cl[c].pc \in {"Hello", "Proved"}
    /\ cl' = [cl EXCEPT ![c].pc = "Gone"]
    /\ UNCHANGED <<sv, heard>>

Next ==
    \/ \E c \in Clients : Hello(c) \/ Prove(c) \/ Welcome(c) \/ GiveUp(c)
    \/ \E v \in Conns : Answer(v) \/ Admit(v)

Spec == Init /\ [][Next]_vars

(***************************************************************************)
(* The properties.                                                         *)
(*                                                                         *)
(* They hold for clients of points whose record the attacker has not read. *)
(* An attacker that has read the record of a dead server can play that     *)
(* server for a client whose point was rolled back to it.                  *)
(***************************************************************************)

Trusts(c) == Named(cl[c].point) \notin Read
Wants(i)  == {c \in Clients : cl[c].proved /\ cl[c].t.intent = i}
Ended(last) == {c \in Clients : cl[c].pc = "Done" /\ cl[c].t.last = last /\ Trusts(c)}
Did(last) == {v \in Conns : sv[v].pc = "Admitted" /\ sv[v].t.last = last}

\* What both sides have to agree on. That they see the same nonces is no end in itself: counting shows what it is for.
View(t)   == <<t.version, t.intent, t.answer, t.claim>>
OfClient(c) == <<Named(cl[c].point), Seen(cl[c].point), View(cl[c].t)>>
OfServer(v) == <<sv[v].of, Home(sv[v].of), View(sv[v].t)>>

\* Each of these clients has a connection of its own at the server that its point names, which says the same.
EachHasOne(clients, conns) ==
    \A c \in clients : Cardinality({d \in clients : OfClient(d) = OfClient(c)})
                       <= Cardinality({v \in conns : OfServer(v) = OfClient(c)})
EachIsOf(conns, clients) ==
    \A v \in conns : Cardinality({w \in conns : OfServer(w) = OfServer(v)})
                     <= Cardinality({c \in clients : OfClient(c) = OfServer(v)})

\* A client that is welcomed was admitted by the server that its point names, with what it stated, in a session of its own.
Authenticity == EachHasOne(Ended("welcome"), Did("welcome"))

\* A client that is told "full" was told so by that server, in answer to its own proof.
FullIsTrue == EachHasOne(Ended("full"), Did("full"))

\* Each session and each retirement is what one client wanted, once.
OfIntent(i) == {v \in Conns : sv[v].pc = "Admitted" /\ sv[v].t.intent = i /\ sv[v].of \notin Read}
NoSessionByReplay    == EachIsOf(OfIntent("connect"), Wants("connect"))
NoRetirementByReplay == EachIsOf(OfIntent("retire"), Wants("retire"))

\* No server acts for a client that had given up before this server answered: its handshake's deadline bounds how late
\* it acts.
InTime == \A v \in OfIntent("connect") \cup OfIntent("retire") :
              \E c \in Clients : cl[c].proved /\ OfClient(c) = OfServer(v) /\ c \notin sv[v].late

\* A proof is taken only for the message that it was made for.
NoReflection ==
    /\ \A c \in Clients : cl[c].t.answer # "" /\ Trusts(c) =>
           LET m == Proof(cl[c].t.version, cl[c].t.answer) IN ByClient(m, c, cl[c].t) \in heard[m]
    /\ \A v \in Conns : sv[v].pc = "Admitted" /\ sv[v].of \notin Read =>
           ByServer("ClientProof", v, sv[v].t) \in heard["ClientProof"]
    /\ \A c \in Clients : cl[c].t.last # "" /\ Trusts(c) => ByClient("Welcome", c, cl[c].t) \in heard["Welcome"]

\* A client is refused, or told another version of the service, only if the server of its record said so to its hello.
\* A refusal by another version is not bound to the point: the server of a copied home can refuse.
NoDowngrade ==
    \A c \in Clients : cl[c].t.answer # "" /\ Trusts(c) =>
        LET told(d) == <<Named(cl[d].point), cl[d].t.version, cl[d].t.intent, cl[d].t.answer>>
            said(v) == <<sv[v].of, sv[v].t.version, sv[v].t.intent, sv[v].t.answer>>
            frozen  == IsFrozen(cl[c].t.version, cl[c].t.answer)
        IN  Cardinality({d \in Clients : cl[d].t.answer # "" /\ told(d) = told(c)})
            <= Cardinality({v \in Conns : said(v) = told(c) /\ (frozen \/ Home(sv[v].of) = Seen(cl[c].point))})

\* A client that is welcomed, or asked for something, dialled from the place of its server.
NoRelay == \A c \in Clients : cl[c].proved => cl[c].at = Scope(Named(cl[c].point))
===============================================================================
