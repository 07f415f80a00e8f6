//! Channels and groups: what is known of them, and who sends for them.
//!
//! - [`reference`]: how people name one;
//! - [`table`]: the rows, their list and its search;
//! - [`senders`]: who may send for a channel, with what each was found to be allowed;
//! - [`routing`]: which of them sends what, and when another takes over;
//! - [`checks`]: when each was looked at last, and is to be next;
//! - [`moves`]: groups that live on as supergroups.

pub mod checks;
pub mod moves;
pub mod reference;
pub mod routing;
pub mod senders;
pub mod table;

pub use senders::{Change, ChannelSender};
pub use table::{ChannelFilter, ChannelRow, ChannelStatus};
