@0x8a60b2ca24b3b8a0;  # from `capnp id`
# Notes that all clients of one server share.

interface Notes {
  add @0 (text :Text) -> (count :UInt32);
  # Adds a note at the end, and returns how many there are.

  list @1 () -> (texts :List(Text));
}
