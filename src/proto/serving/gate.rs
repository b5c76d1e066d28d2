//! The gate at which clients are counted.

/// Counts clients, and is open while the server serves.
///
/// Each method is one atomic step. The server verifies a client's proof, [admits](Gate::admit) the client and sends the
/// welcome in one step as well, with no wait between them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Gate {
    open: bool,
    counted: u32,
}

impl Gate {
    /// Returns a gate that is shut, as it is until *registered*.
    pub const fn new() -> Self {
        Gate { open: false, counted: 0 }
    }

    /// Opens the gate: the server serves from now on.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// Counts a client and returns true, or returns false if the server does not serve.
    #[must_use]
    pub fn admit(&mut self) -> bool {
        self.counted += u32::from(self.open);
        self.open
    }

    /// Stops counting a client, whose connection is over.
    pub fn leave(&mut self) {
        self.counted -= 1;
    }

    /// Returns how many clients are counted.
    pub fn counted(&self) -> u32 {
        self.counted
    }

    /// Returns whether the server serves.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// *Look*: shuts the gate, unless `why` is idleness and a client is counted. Returns whether the gate is shut.
    #[must_use]
    pub fn look(&mut self, why: Retire) -> bool {
        self.open &= why == Retire::Idle && self.counted > 0;
        !self.open
    }
}

/// Why a server retires.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Retire {
    /// There was no client for the idle period.
    Idle,
    /// Retirement was requested.
    Requested,
    /// The point or the life file belongs to another server now.
    Lost,
}
