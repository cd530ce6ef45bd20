//! Exit codes: one table, for scripts.

use std::process::ExitCode;

/// How a command ended, as its caller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Done = 0,
    /// Something happened that should not.
    Unexpected = 1,
    /// The command line, the configuration or a name is wrong.
    Usage = 2,
    /// keyturn cannot be reached.
    Unreachable = 3,
    /// keyturn does not do it now.
    Refused = 4,
    /// The rotation ended without a new key in Vault, or the live call without one.
    NotRotated = 5,
    /// A person must decide.
    PersonNeeded = 6,
    /// The service is not healthy.
    NotHealthy = 7,
    /// Something stands in the way of an installation, or a definition breaks what it promises.
    Findings = 8,
}

impl Exit {
    /// All codes, in their order.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::Unexpected,
        Self::Usage,
        Self::Unreachable,
        Self::Refused,
        Self::NotRotated,
        Self::PersonNeeded,
        Self::NotHealthy,
        Self::Findings,
    ];

    /// The number that a shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What it means, as help and documentation say it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unexpected => "something unexpected happened",
            Self::Usage => "the command line, the configuration or a name is wrong",
            Self::Unreachable => "keyturn cannot be reached, or is shutting down",
            Self::Refused => "keyturn does not do that now; the message says why and what helps",
            Self::NotRotated => {
                "the rotation ended without a new key in Vault, or a live call without one; the old key stands"
            }
            Self::PersonNeeded => {
                "a person must decide: see `keyturn resolve`, or what `keyturn providers test --live` said"
            }
            Self::NotHealthy => "the service does not serve",
            Self::Findings => {
                "doctor found something that stands in the way, or a definition breaks what it promises"
            }
        }
    }

    /// The table in `keyturn --help`.
    pub(super) fn table() -> String {
        let rows: Vec<String> =
            Self::ALL.iter().map(|exit| format!("  {}  {}", exit.code(), exit.meaning())).collect();
        format!("Exit codes:\n{}", rows.join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
