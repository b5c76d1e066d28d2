@0xe6c4d2a1b8f39057;
# A counter that all clients of one server share.

interface Counter {
  increment @0 () -> (count :UInt64);
  # Adds one, and returns the sum.
}
