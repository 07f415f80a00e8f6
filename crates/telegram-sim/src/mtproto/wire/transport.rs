//! Frames on TCP: the four plain transports, told apart by their first bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest frame taken from a client, in bytes: an upload part is at most 512 KiB, so this is generous.
const MAX_FRAME: usize = 4 << 20;

const INTERMEDIATE_TAG: [u8; 4] = [0xee; 4];
const PADDED_TAG: [u8; 4] = [0xdd; 4];
const ABRIDGED_TAG: u8 = 0xef;
/// The top bit of a length asks for a quick acknowledgement; servers may leave it unanswered, and this one does.
const QUICK_ACK: u32 = 0x8000_0000;

/// Why a stream of bytes is not a stream of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The first bytes belong to no transport that is known here.
    #[error("the first bytes belong to no known transport (the obfuscated one is not supported)")]
    Unknown,
    /// A frame announces a length that is impossible or too large.
    #[error("bad frame length {0}")]
    BadLength(usize),
    /// A frame of the full transport is out of sequence.
    #[error("frame number {got} instead of {expected}")]
    BadSequence {
        /// The number that had to come.
        expected: u32,
        /// The number that came.
        got: u32,
    },
    /// The checksum of a frame of the full transport is wrong.
    #[error("bad frame checksum")]
    BadChecksum,
}

/// One of the transports of <https://core.telegram.org/mtproto/mtproto-transports>, with its counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Lengths in words, one or four bytes.
    Abridged,
    /// Lengths in bytes, four bytes.
    Intermediate,
    /// As intermediate, with up to 15 bytes of random padding.
    Padded,
    /// Length, counter and checksum.
    Full {
        /// The number of the next frame that is sent.
        sent: u32,
        /// The number of the next frame that has to come.
        received: u32,
    },
}

impl Transport {
    /// Tells the transport from the first bytes and takes its tag off; `None` while there are too few bytes.
    pub fn detect(input: &mut BytesMut) -> Result<Option<Self>, TransportError> {
        if input.first() == Some(&ABRIDGED_TAG) {
            input.advance(1);
            return Ok(Some(Self::Abridged));
        }
        let Some(head) = input.first_chunk::<4>().copied() else { return Ok(None) };
        let tagged = match head {
            INTERMEDIATE_TAG => Some(Self::Intermediate),
            PADDED_TAG => Some(Self::Padded),
            _ => None,
        };
        if let Some(transport) = tagged {
            input.advance(4);
            return Ok(Some(transport));
        }
        // The full transport has no tag: its second word is the number of the frame, so zero at first. The obfuscated
        // one makes sure that this word is not zero.
        match input.get(4..8) {
            None => Ok(None),
            Some([0, 0, 0, 0]) => Ok(Some(Self::Full { sent: 0, received: 0 })),
            Some(_) => Err(TransportError::Unknown),
        }
    }

    /// Takes one frame's payload off the front of `input`; `None` while it is incomplete.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, TransportError> {
        match self {
            Self::Abridged => decode_abridged(input),
            Self::Intermediate | Self::Padded => decode_intermediate(input),
            Self::Full { received, .. } => decode_full(input, received),
        }
    }

    /// Appends `payload`, whose length is a multiple of four, to `output` as one frame.
    pub fn encode(&mut self, payload: &[u8], output: &mut BytesMut) {
        output.reserve(payload.len() + 32);
        match self {
            Self::Abridged => {
                let words = payload.len() / 4;
                match u8::try_from(words) {
                    Ok(short) if short < 0x7f => output.put_u8(short),
                    _ => output.put_u32_le(narrow(words) << 8 | 0x7f),
                }
                output.put_slice(payload);
            }
            Self::Intermediate => {
                output.put_u32_le(narrow(payload.len()));
                output.put_slice(payload);
            }
            Self::Padded => {
                let padding = &rand::random::<[u8; 15]>()[..rand::random_range(0..16)];
                output.put_u32_le(narrow(payload.len() + padding.len()));
                output.put_slice(payload);
                output.put_slice(padding);
            }
            Self::Full { sent, .. } => {
                let start = output.len();
                output.put_u32_le(narrow(payload.len() + 12));
                output.put_u32_le(*sent);
                output.put_slice(payload);
                let checksum = crc32fast::hash(&output[start..]);
                output.put_u32_le(checksum);
                *sent += 1;
            }
        }
    }

    /// Appends a transport error such as -404 (key unknown) or -429 (too many connections).
    ///
    /// On the full transport it replaces length and counter, and is repeated as the body, as Telegram does.
    pub fn encode_error(&mut self, code: i32, output: &mut BytesMut) {
        if matches!(self, Self::Full { .. }) {
            (0..3).for_each(|_| output.put_i32_le(code));
        } else {
            self.encode(&code.to_le_bytes(), output);
        }
    }
}

fn narrow(length: usize) -> u32 {
    u32::try_from(length).expect("frames are far shorter than 4 GiB")
}

fn split(input: &mut BytesMut, header: usize, length: usize) -> Result<Option<BytesMut>, TransportError> {
    if length == 0 || length > MAX_FRAME {
        return Err(TransportError::BadLength(length));
    }
    if input.len() < header + length {
        return Ok(None);
    }
    input.advance(header);
    Ok(Some(input.split_to(length)))
}

fn decode_abridged(input: &mut BytesMut) -> Result<Option<BytesMut>, TransportError> {
    let Some(first) = input.first() else { return Ok(None) };
    let words = first & 0x7f;
    if words < 0x7f {
        return split(input, 1, usize::from(words) * 4);
    }
    let Some([_, low, middle, high]) = input.first_chunk::<4>().copied() else { return Ok(None) };
    let words = u32::from_le_bytes([low, middle, high, 0]);
    split(input, 4, words as usize * 4)
}

fn decode_intermediate(input: &mut BytesMut) -> Result<Option<BytesMut>, TransportError> {
    let Some(head) = input.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) & !QUICK_ACK;
    split(input, 4, length as usize)
}

fn decode_full(input: &mut BytesMut, received: &mut u32) -> Result<Option<BytesMut>, TransportError> {
    let Some(head) = input.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if !(16..=MAX_FRAME).contains(&length) {
        return Err(TransportError::BadLength(length));
    }
    if input.len() < length {
        return Ok(None);
    }
    let mut frame = input.split_to(length);
    let mut checksum: Bytes = frame.split_off(length - 4).freeze();
    if checksum.get_u32_le() != crc32fast::hash(&frame) {
        return Err(TransportError::BadChecksum);
    }
    frame.advance(4);
    let got = frame.get_u32_le();
    if got != *received {
        return Err(TransportError::BadSequence { expected: *received, got });
    }
    *received += 1;
    Ok(Some(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(tag: &[u8], mut sender: Transport, payload: &[u8]) -> BytesMut {
        let mut stream = BytesMut::from(tag);
        sender.encode(payload, &mut stream);
        let whole = stream.clone();
        // Every prefix is incomplete, never an error.
        for end in 0..whole.len() {
            let mut prefix = BytesMut::from(&whole[..end]);
            if let Some(mut transport) = Transport::detect(&mut prefix).unwrap() {
                let complete = transport.decode(&mut prefix).unwrap();
                // Only the padding may be missing... and not even that: the length covers it.
                assert_eq!(complete, None, "prefix of {end} bytes");
            }
        }
        let mut transport = Transport::detect(&mut stream).unwrap().unwrap();
        let frame = transport.decode(&mut stream).unwrap().unwrap();
        assert!(stream.is_empty());
        frame
    }

    #[test]
    fn transports_are_detected_and_carry_payloads() {
        for length in [16, 64, 508, 512, 70_000] {
            let payload: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            assert_eq!(round_trip(&[0xef], Transport::Abridged, &payload), payload);
            assert_eq!(round_trip(&[0xee; 4], Transport::Intermediate, &payload), payload);
            assert_eq!(round_trip(&[0xdd; 4], Transport::Padded, &payload)[..length], payload);
            assert_eq!(round_trip(&[], Transport::Full { sent: 0, received: 0 }, &payload), payload);
        }
    }

    #[test]
    fn the_full_transport_checks_number_and_checksum() {
        let mut sender = Transport::Full { sent: 1, received: 0 };
        let mut stream = BytesMut::new();
        sender.encode(&[7; 16], &mut stream);
        let mut receiver = Transport::Full { sent: 0, received: 0 };
        let wrong_number = receiver.decode(&mut stream.clone());
        assert_eq!(wrong_number, Err(TransportError::BadSequence { expected: 0, got: 1 }));
        stream[9] ^= 1;
        assert_eq!(receiver.decode(&mut stream), Err(TransportError::BadChecksum));
    }

    #[test]
    fn impossible_lengths_and_unknown_first_bytes_are_errors() {
        let mut huge = BytesMut::from(&[0xff, 0xff, 0xff, 0x7f][..]);
        assert!(matches!(Transport::Intermediate.decode(&mut huge), Err(TransportError::BadLength(_))));
        let mut http = BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]);
        assert_eq!(Transport::detect(&mut http), Err(TransportError::Unknown));
    }

    #[test]
    fn a_transport_error_of_the_full_transport_starts_with_its_code() {
        let mut output = BytesMut::new();
        Transport::Full { sent: 0, received: 0 }.encode_error(-404, &mut output);
        assert_eq!(output.get_i32_le(), -404);
    }
}
