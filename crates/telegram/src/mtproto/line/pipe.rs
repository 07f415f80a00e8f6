//! Frames on a socket.

use std::io;
use std::sync::Arc;

use grammers_crypto::DequeBuffer;
use grammers_mtproto::mtp::{
    ENCRYPTED_PACKET_HEADER_LEN, MAX_TRANSPORT_HEADER_LEN, MESSAGE_CONTAINER_HEADER_LEN, PLAIN_PACKET_HEADER_LEN,
};
use grammers_mtproto::transport::{Full, Transport as _};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::broken::Broken;
use super::fuse::Fuse;
use super::inflow::Inflow;

/// Room before a message for what is put around it, so that it need not be moved.
const HEADERS: usize =
    MAX_TRANSPORT_HEADER_LEN + ENCRYPTED_PACKET_HEADER_LEN + PLAIN_PACKET_HEADER_LEN + MESSAGE_CONTAINER_HEADER_LEN;

/// Room behind it: padding and checksum.
const TRAILER: usize = 64;

/// A socket that carries frames. Its buffers are there only while they hold something.
pub(super) struct Pipe {
    stream: Arc<TcpStream>,
    fuse: Arc<Fuse>,
    transport: Full,
    inflow: Inflow,
    outflow: Option<Outflow>,
}

/// A frame that is being written.
struct Outflow {
    frame: DequeBuffer<u8>,
    written: usize,
}

/// An empty buffer for a message of about this length.
pub(super) fn message(length: usize) -> DequeBuffer<u8> {
    DequeBuffer::with_capacity(length + TRAILER, HEADERS)
}

impl Pipe {
    pub(super) fn new(stream: TcpStream, fuse: &Arc<Fuse>) -> io::Result<Self> {
        let stream = Arc::new(stream);
        fuse.arm(&stream)?;
        Ok(Self { stream, fuse: Arc::clone(fuse), transport: Full::new(), inflow: Inflow::default(), outflow: None })
    }

    /// Is a frame being written? Then no other can be begun.
    pub(super) fn is_writing(&self) -> bool {
        self.outflow.is_some()
    }

    /// Begins to write a message as a frame.
    pub(super) fn send(&mut self, mut message: DequeBuffer<u8>) -> Result<(), Broken> {
        debug_assert!(self.outflow.is_none(), "one frame is written at a time");
        self.transport.pack(&mut message);
        self.outflow = Some(Outflow { frame: message, written: 0 });
        self.write()?;
        Ok(())
    }

    /// Waits until something was read or written. Can be dropped and called again at any time.
    pub(super) async fn step(&mut self) -> Result<(), Broken> {
        let interest = if self.is_writing() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let ready = self.stream.ready(interest).await?;
        let mut has_read = false;
        if ready.is_readable() || ready.is_error() {
            has_read = self.read()?;
        }
        if self.is_writing() && ready.is_writable() {
            match self.write() {
                // What arrived before the end is handled first; the next step finds the same end.
                Err(_) if has_read => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Finishes the frame that is being written.
    pub(super) async fn flush(&mut self) -> Result<(), Broken> {
        while self.is_writing() {
            self.stream.writable().await?;
            self.write()?;
        }
        Ok(())
    }

    /// The content of the next frame that has arrived as a whole. Ask until there is none.
    pub(super) fn frame(&mut self) -> Result<Option<&mut [u8]>, Broken> {
        self.inflow.next(&mut self.transport)
    }

    fn read(&mut self) -> Result<bool, Broken> {
        match self.inflow.fill(|buffer| self.stream.try_read_buf(buffer)) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::ConnectionReset, "the other side closed it").into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(outflow) = &mut self.outflow else { return Ok(()) };
        while outflow.written < outflow.frame.len() {
            match self.fuse.write(&self.stream, &outflow.frame[outflow.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => outflow.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.outflow = None;
        Ok(())
    }
}
