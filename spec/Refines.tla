------------------------------- MODULE Refines -------------------------------
(***************************************************************************)
(* rendezvous.tla refines core.tla: seen through this mapping, each of its *)
(* steps is a step of the core, or changes nothing there.                  *)
(***************************************************************************)
EXTENDS MCrendezvous

HeldBy(x) == IF Holds(x) THEN Inode(x) ELSE None

\* A client that dials while it holds the lock may still find that no server lives.
CoreClient(c) ==
    LET pc == cl[c].pc IN
    [pc    |-> CASE pc \in {"Out", "Read", "Lock", "Backoff", "Wait", "Done"} -> "Out"
                 [] pc \in {"Dial", "Hello", "Prove", "Welcome"}              -> IF Holding(c) THEN "Locked" ELSE "Out"
                 [] pc \in {"Reread", "Probe"}                                -> "Locked"
                 [] pc = "Fallback"                                           -> "Unlock"
                 [] OTHER                                                     -> pc,
     file  |-> HeldBy(c),
     child |-> cl[c].child,
     met   |-> IF conn[c].to # None /\ Counts(conn[c].to, c) THEN conn[c].to ELSE None]

CoreServer(s) ==
    LET pc   == sv[s].pc
        then == sv[s].then IN
    [pc   |-> CASE pc = "Free"                                     -> "Out"
                [] pc = "Watch"                                    -> "Claim"
                [] pc \in {"Refuse", "Unlock"} /\ then = "Busy"    -> "Claim"
                [] pc \in {"Refuse", "Unlock"} /\ then = "Failed"  -> "Build"
                [] pc = "Listen"                                   -> "Build"
                [] pc = "Registered"                               -> "Ready"
                [] pc \in {"Check", "Lock", "Backoff"}             -> "Serve"
                [] pc = "Reclaim"                                  -> "Recheck"
                [] pc = "Look"                                     -> IF sv[s].held THEN "Look" ELSE "Serve"
                [] pc = "Close"                                    -> IF sv[s].held THEN "Leave" ELSE "Drain"
                [] pc = "Unlock" /\ then = "Drain"                 -> "Leave"
                [] OTHER                                           -> pc,
     file |-> HeldBy(s),
     hand |-> sv[s].hand,
     orphan |-> Alive(s) /\ (sv[s].pipe = "eof" \/ (sv[s].pipe = "kept" /\ \A c \in Clients : cl[c].child # s)),
     told |-> sv[s].reg \/ sv[s].pipe = "reg",
     open |-> sv[s].open,
     must |-> sv[s].requested \/ sv[s].why = "Lost" \/ then = "Lost"]

Core == INSTANCE core WITH
    Servers   <- Slots,
    Deletion  <- "deleted" \in Faults,
    Copies    <- "old copy" \in Faults,
    Hindrance <- TakesLife \/ Faults \cap {"shortage", "deadline", "foreign"} # {},
    Removal   <- TakesLife,
    Haste     <- TakesLife /\ Faults \cap Hides # {} /\ Budget > 1,
    cl        <- [c \in Clients |-> CoreClient(c)],
    sv        <- [s \in Slots |-> CoreServer(s)],
    record    <- [i \in Inodes |-> IF file[i] \in Slots THEN file[i] ELSE None],
    path      <- cur,
    life      <- IF life = Absent THEN None ELSE life

RefinesStep == UNCHANGED Core!vars \/ Core!Next
Refines     == Core!Init /\ [][RefinesStep]_vars

\* The invariant of the proof, conjunct by conjunct.
Proved ==
    /\ Core!SingleServing /\ Core!OneHandler /\ Core!OpenWasTold /\ Core!NoChildLeft /\ Core!NoLostConnect
    /\ Core!RetiresUnderLock /\ Core!OneRecord /\ Core!OneLife /\ Core!LifeIsHeld /\ Core!LifeHasAHolder
    /\ Core!OpenSteps /\ Core!OneClientLocks /\ Core!ClientOrServerLocks /\ Core!OneServerLocks /\ Core!OneMet
    /\ Core!MetSteps /\ Core!LockedSteps /\ Core!HandLocks /\ Core!OutIsBlank /\ Core!OneChild /\ Core!OneParent
    /\ Core!ParentSteps /\ Core!ChildIsNew /\ Core!OrphanIsNew /\ Core!HandSteps /\ Core!WriteIsByHand
    /\ Core!ClientPath /\ Core!ServerPath /\ Core!ReadyChild /\ Core!ToldSteps /\ Core!ChildRecord /\ Core!HandRecord
    /\ Core!Withdrawn /\ Core!OneListed /\ Core!Nobody /\ Core!NobodyServes /\ Core!NobodyElse
    /\ Core!NobodyElseServes /\ Core!NotInThisFile /\ Core!NotInItsFile /\ Core!NotAtThePath
===============================================================================
