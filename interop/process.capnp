@0xa1c3e5f70921b4d6;

interface Process {
  pid @0 () -> (pid :UInt32);
  # Says which process it is that answers.
}
