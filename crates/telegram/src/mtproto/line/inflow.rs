//! What arrives on a connection, cut into frames.

use std::io;

use grammers_mtproto::transport::{self, Full, Transport as _};

use super::broken::Broken;

/// The longest frame that is taken. The library takes no message of more than 1,044,448 bytes, and Telegram sends none.
pub(super) const MAX_FRAME: usize = 1_044_480;

/// Room that there is for each read, at least.
const ROOM: usize = 4 * 1024;

/// Bytes that have arrived and are not handled. Holds no memory while there are none.
#[derive(Default)]
pub(super) struct Inflow {
    buffer: Vec<u8>,
    /// Where the next frame begins.
    start: usize,
}

impl Inflow {
    /// Lets `read` append what it has.
    pub(super) fn fill(&mut self, read: impl FnOnce(&mut Vec<u8>) -> io::Result<usize>) -> io::Result<usize> {
        // Grows by doubling, with what has arrived and not with what is announced.
        self.buffer.reserve(ROOM);
        let result = read(&mut self.buffer);
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        result
    }

    /// The content of the next frame, when it is there as a whole. Ask until there is none: that is when room is given back.
    pub(super) fn next(&mut self, transport: &mut Full) -> Result<Option<&mut [u8]>, Broken> {
        let rest = &mut self.buffer[self.start..];
        let length = rest.first_chunk().map_or(0, |head| i32::from_le_bytes(*head));
        if let Ok(length) = usize::try_from(length)
            && length > MAX_FRAME
        {
            return Err(Broken::TooLarge(length));
        }
        match transport.unpack(rest) {
            Ok(offset) => {
                let begin = self.start;
                self.start += offset.next_offset;
                Ok(Some(&mut self.buffer[begin + offset.data_range.start..begin + offset.data_range.end]))
            }
            Err(transport::Error::MissingBytes) => {
                self.settle();
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives back the room of what was handled.
    fn settle(&mut self) {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        } else if self.buffer.capacity() > 4 * self.buffer.len().max(ROOM) {
            self.buffer.shrink_to(ROOM);
        }
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.buffer.capacity()
    }
}

#[cfg(test)]
mod tests {
    use grammers_crypto::DequeBuffer;

    use super::*;

    /// The frames of some contents, glued together.
    fn frames(contents: &[Vec<u8>]) -> Vec<u8> {
        let mut transport = Full::new();
        let frame = |content: &Vec<u8>| {
            let mut buffer = DequeBuffer::with_capacity(content.len(), 8);
            buffer.extend(content);
            transport.pack(&mut buffer);
            buffer.as_ref().to_vec()
        };
        contents.iter().flat_map(frame).collect()
    }

    fn contents() -> Vec<Vec<u8>> {
        [4, 12, 4_096, 70_000, 8, 900_000, 4].iter().zip(1..).map(|(length, fill)| vec![fill; *length]).collect()
    }

    fn push(inflow: &mut Inflow, bytes: &[u8]) {
        let read = inflow.fill(|buffer| {
            buffer.extend_from_slice(bytes);
            Ok(bytes.len())
        });
        assert_eq!(read.unwrap(), bytes.len());
    }

    #[test]
    fn frames_arrive_however_they_are_cut() {
        let contents = contents();
        let bytes = frames(&contents);
        for piece in [1_021, 4_096, 65_536, bytes.len()] {
            let (mut inflow, mut transport, mut found) = (Inflow::default(), Full::new(), Vec::new());
            for part in bytes.chunks(piece) {
                push(&mut inflow, part);
                while let Some(frame) = inflow.next(&mut transport).unwrap() {
                    found.push(frame.to_vec());
                }
            }
            assert!(found == contents, "in pieces of {piece}");
            assert_eq!(inflow.room(), 0, "nothing is left, so nothing is kept");
        }
    }

    #[test]
    fn single_bytes_make_frames_too() {
        let contents = vec![vec![1; 4], vec![2; 40]];
        let (mut inflow, mut transport, mut found) = (Inflow::default(), Full::new(), Vec::new());
        for byte in frames(&contents) {
            push(&mut inflow, &[byte]);
            while let Some(frame) = inflow.next(&mut transport).unwrap() {
                found.push(frame.to_vec());
            }
        }
        assert_eq!(found, contents);
    }

    #[test]
    fn room_follows_what_has_arrived() {
        let (mut inflow, mut transport) = (Inflow::default(), Full::new());
        let bytes = frames(&[vec![7; 900_000], vec![8; 4_000]]);
        push(&mut inflow, &bytes[..100]);
        assert!(inflow.next(&mut transport).unwrap().is_none());
        assert!(inflow.room() < 10_000, "{} bytes for 100", inflow.room());
        let (most, rest) = bytes[100..].split_at(901_000 - 100);
        push(&mut inflow, most);
        assert!(inflow.next(&mut transport).unwrap().is_some());
        assert!(inflow.next(&mut transport).unwrap().is_none());
        assert!(inflow.room() < 10_000, "{} bytes for a part of 4,000", inflow.room());
        push(&mut inflow, rest);
        assert!(inflow.next(&mut transport).unwrap().is_some());
    }

    #[test]
    fn reading_nothing_leaves_nothing() {
        let mut inflow = Inflow::default();
        let refused = inflow.fill(|_| Err(io::ErrorKind::WouldBlock.into())).unwrap_err();
        assert_eq!((refused.kind(), inflow.room()), (io::ErrorKind::WouldBlock, 0));
    }

    #[test]
    fn what_is_no_frame_ends_it() {
        let first_word = |word: i32| {
            let (mut inflow, mut transport) = (Inflow::default(), Full::new());
            push(&mut inflow, &word.to_le_bytes());
            inflow.next(&mut transport).unwrap_err()
        };
        assert!(matches!(first_word(16 << 20), Broken::TooLarge(16_777_216)));
        assert!(matches!(first_word(i32::try_from(MAX_FRAME).unwrap() + 1), Broken::TooLarge(_)));
        assert!(matches!(first_word(3), Broken::Transport(transport::Error::BadLen { got: 3 })));
        assert!(first_word(-404).is_unknown_key());
        assert!(!first_word(-429).is_unknown_key());
        let mut bytes = frames(&[vec![1; 8]]);
        bytes[9] ^= 1;
        let mut inflow = Inflow::default();
        push(&mut inflow, &bytes);
        let broken = inflow.next(&mut Full::new()).unwrap_err();
        assert!(matches!(broken, Broken::Transport(transport::Error::BadCrc { .. })));
    }
}
