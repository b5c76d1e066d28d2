----------------------------- MODULE MChandshake -----------------------------
(* The bounds of the handshake's models: the files handshake*.cfg beside this one choose among them. *)
EXTENDS handshake, TLC

Symmetry == Permutations(Clients) \cup Permutations(Conns)

\* `cargo xtask tlc` compares this with transcripts.txt: message, place, field.
ASSUME \A m \in Messages : \A i \in DOMAIN Covers(m) : PrintT(<<"covers", m, i, Covers(m)[i]>>)

\* Every end is reached: each of these must fail.
NeverWelcomed == Ended("welcome") = {}
NeverFull     == Ended("full") = {}
NeverRetired  == OfIntent("retire") = {}
NeverRefused  == \A c \in Clients : cl[c].t.answer # "no: version, version 1"
===============================================================================
