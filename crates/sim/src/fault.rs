//! The kinds of faults. Each is counted where it takes effect, not where it is planned.

use std::fmt;

use crate::link::LinkFault;

/// What can go wrong in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the faults that there are")]
pub enum FaultKind {
    /// A node was started from an old backup, which says that it is one.
    BackupRestored,
    /// The file of an old backup was put in place of the store behind the program's back.
    BackupSlippedIn,
    /// A clock runs faster or slower than time.
    ClockDrifted,
    /// A clock jumped forwards or back.
    ClockJumped,
    /// A clock stands still.
    ClockStopped,
    /// A datagram arrived with a flipped bit.
    DatagramCorrupted,
    /// A datagram met a cut link.
    DatagramCut,
    /// A datagram arrived twice.
    DatagramDuplicated,
    /// A datagram was lost.
    DatagramLost,
    /// A datagram found the queue of a narrow link full.
    DatagramOverflowed,
    /// A datagram was overtaken.
    DatagramReordered,
    /// The disk failed an operation.
    DiskFailed,
    /// The disk had no room for more.
    DiskFull,
    /// The disk let a caller wait.
    DiskSlow,
    /// A fact is hidden from whoever knows that it is there.
    FactHidden,
    /// Somebody has a part of a fact only.
    FactInPart,
    /// Frames of a session came a second time, by somebody without keys.
    FramesRepeated,
    /// A domain was taken from another's list of peers, and later put back.
    PeerDropped,
    /// The power went off between two operations of the disk.
    PowerCutIdle,
    /// The power went off in the middle of what the disk was doing.
    PowerCutWriting,
    /// A domain changed its rules about another.
    RulesChanged,
    /// A node was stopped in good order, and later started again.
    Stopped,
    /// A write that was not synced did not survive a power cut.
    WriteDropped,
    /// A write that was not synced survived all the same.
    WriteKept,
    /// Some sectors of a write that was not synced survived.
    WriteTorn,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::BackupRestored,
        Self::BackupSlippedIn,
        Self::ClockDrifted,
        Self::ClockJumped,
        Self::ClockStopped,
        Self::DatagramCorrupted,
        Self::DatagramCut,
        Self::DatagramDuplicated,
        Self::DatagramLost,
        Self::DatagramOverflowed,
        Self::DatagramReordered,
        Self::DiskFailed,
        Self::DiskFull,
        Self::DiskSlow,
        Self::FactHidden,
        Self::FactInPart,
        Self::FramesRepeated,
        Self::PeerDropped,
        Self::PowerCutIdle,
        Self::PowerCutWriting,
        Self::RulesChanged,
        Self::Stopped,
        Self::WriteDropped,
        Self::WriteKept,
        Self::WriteTorn,
    ];
}

impl From<LinkFault> for FaultKind {
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

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BackupRestored => "backup restored",
            Self::BackupSlippedIn => "backup slipped in",
            Self::ClockDrifted => "clock drifted",
            Self::ClockJumped => "clock jumped",
            Self::ClockStopped => "clock stopped",
            Self::DatagramCorrupted => "datagram corrupted",
            Self::DatagramCut => "datagram cut off",
            Self::DatagramDuplicated => "datagram duplicated",
            Self::DatagramLost => "datagram lost",
            Self::DatagramOverflowed => "datagram overflowed",
            Self::DatagramReordered => "datagram overtaken",
            Self::DiskFailed => "disk failed",
            Self::DiskFull => "disk full",
            Self::DiskSlow => "disk slow",
            Self::FactHidden => "fact hidden",
            Self::FactInPart => "fact in part",
            Self::FramesRepeated => "frames repeated",
            Self::PeerDropped => "peer dropped",
            Self::PowerCutIdle => "power cut, idle",
            Self::PowerCutWriting => "power cut, writing",
            Self::RulesChanged => "rules changed",
            Self::Stopped => "node stopped",
            Self::WriteDropped => "write dropped",
            Self::WriteKept => "write kept",
            Self::WriteTorn => "write torn",
        })
    }
}
