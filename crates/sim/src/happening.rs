//! What has to happen in worlds, or they test nothing: faults, and what comes of rules and relays. Each is counted where it
//! takes effect, not where it is planned.

use std::fmt;

use crate::link::LinkFault;

macro_rules! happenings {
    ($($(#[$doc:meta])* $name:ident: $words:literal;)+) => {
        /// What can happen in a world.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(clippy::exhaustive_enums, reason = "what there is")]
        pub enum Happening {
            $($(#[$doc])* $name,)+
        }

        impl Happening {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }

        impl fmt::Display for Happening {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$name => $words,)+
                })
            }
        }
    };
}

happenings! {
    /// A node was started from an old backup, which says that it is one.
    BackupRestored: "backup restored";
    /// The file of an old backup was put in place of the store behind the program's back.
    BackupSlippedIn: "backup slipped in";
    /// A clock runs faster or slower than time.
    ClockDrifted: "clock drifted";
    /// A clock jumped forwards or back.
    ClockJumped: "clock jumped";
    /// A clock stands still.
    ClockStopped: "clock stopped";
    /// A datagram arrived with a flipped bit.
    DatagramCorrupted: "datagram corrupted";
    /// A datagram met a cut link.
    DatagramCut: "datagram cut off";
    /// A datagram arrived twice.
    DatagramDuplicated: "datagram duplicated";
    /// A datagram was lost.
    DatagramLost: "datagram lost";
    /// A datagram found the queue of a narrow link full.
    DatagramOverflowed: "datagram overflowed";
    /// A datagram was overtaken.
    DatagramReordered: "datagram overtaken";
    /// The disk failed an operation.
    DiskFailed: "disk failed";
    /// The disk had no room for more.
    DiskFull: "disk full";
    /// The disk let a caller wait.
    DiskSlow: "disk slow";
    /// A node says that it lacks nothing of a log but what its own rules did not take.
    FactDeclined: "fact declined";
    /// A peer has said of a fact that it will show it when a time has come.
    FactDeferred: "fact deferred";
    /// A fact is hidden from whoever knows that it is there.
    FactHidden: "fact hidden";
    /// Somebody has a part of a fact only.
    FactInPart: "fact in part";
    /// Somebody holds a fact of an origin that he has never met.
    FactRelayed: "fact relayed";
    /// Frames of a session came a second time, by somebody without keys.
    FramesRepeated: "frames repeated";
    /// A node says that it lacks nothing of a log but what its origin has signed that it keeps back.
    LogAttested: "log attested";
    /// A domain was taken from another's list of peers, and later put back.
    PeerDropped: "peer dropped";
    /// The power went off between two operations of the disk.
    PowerCutIdle: "power cut, idle";
    /// The power went off in the middle of what the disk was doing.
    PowerCutWriting: "power cut, writing";
    /// Another domain than its origin holds a fact of a compartment that not everybody is in.
    PrivateFact: "private fact";
    /// Of such a compartment a member holds less than all, by rules of another member or its own.
    PrivateRule: "private rule";
    /// A domain changed its rules about another.
    RulesChanged: "rules changed";
    /// A node was stopped in good order, and later started again.
    Stopped: "node stopped";
    /// A write that was not synced did not survive a power cut.
    WriteDropped: "write dropped";
    /// A write that was not synced survived all the same.
    WriteKept: "write kept";
    /// Some sectors of a write that was not synced survived.
    WriteTorn: "write torn";
}

impl From<LinkFault> for Happening {
    fn from(fault: LinkFault) -> Self {
        match fault {
            LinkFault::Corrupted => Self::DatagramCorrupted,
            LinkFault::Cut => Self::DatagramCut,
            LinkFault::Duplicated => Self::DatagramDuplicated,
            LinkFault::Lost => Self::DatagramLost,
            LinkFault::Overflowed => Self::DatagramOverflowed,
            LinkFault::Reordered => Self::DatagramReordered,
        }
    }
}
