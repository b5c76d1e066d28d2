//! Where clients are counted.

/// Where clients are counted: open while the server serves.
///
/// Each method is one step. To verify a client's proof, to [`admit`](Gate::admit) it and to send the
/// welcome must be one, too: with no wait between them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Gate {
    open: bool,
    counted: u32,
}

impl Gate {
    /// A gate that is shut, as it is until *registered*.
    pub const fn new() -> Self {
        Gate { open: false, counted: 0 }
    }

    /// The server serves from here on.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// Counts a client, or refuses it: the server does not serve.
    #[must_use]
    pub fn admit(&mut self) -> bool {
        self.counted += u32::from(self.open);
        self.open
    }

    /// A counted client's connection is over.
    pub fn leave(&mut self) {
        self.counted -= 1;
    }

    /// How many clients are counted.
    pub fn counted(&self) -> u32 {
        self.counted
    }

    /// Whether the server serves.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// *Look*: shuts the gate, unless the server is merely idle and somebody came. Answers whether it is shut.
    #[must_use]
    pub fn look(&mut self, why: Retire) -> bool {
        self.open &= why == Retire::Idle && self.counted > 0;
        !self.open
    }
}

/// Why a server retires.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Retire {
    /// Nobody has been there for the idle period.
    Idle,
    /// Somebody asked for it.
    Requested,
    /// The point or the life file is another's now.
    Lost,
}
