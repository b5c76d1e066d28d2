@0xa1c3e5f70921b4d6;

interface Process {
  pid @0 () -> (pid :UInt32);
  # Returns the PID of the process that answers.
}
