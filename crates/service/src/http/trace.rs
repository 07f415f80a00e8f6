//! W3C Trace Context: the trace that a request belongs to, taken from the caller or started here.

use http::HeaderMap;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// The longest `tracestate` that is carried on.
const MAX_STATE: usize = 512;

/// A place in a distributed trace. It is stored with a message and continued by the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace, the same for everything that one request causes. Never all zero.
    pub trace_id: [u8; 16],
    /// The span of the caller, if it sent one.
    pub parent_id: Option<[u8; 8]>,
    /// The span of this service.
    pub span_id: [u8; 8],
    /// The trace flags; bit 0 means "sampled".
    pub flags: u8,
    /// What other vendors carry along, unchanged.
    pub state: Option<String>,
}

impl TraceContext {
    /// A new trace.
    pub fn new() -> Self {
        Self { trace_id: random(), parent_id: None, span_id: random(), flags: 0, state: None }
    }

    /// Continues the trace of the headers, or starts one when they hold none that is valid.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = parents.next().and_then(|value| value.to_str().ok()).and_then(Self::from_traceparent);
        let Some(mut context) = parent.filter(|_| parents.next().is_none()) else { return Self::new() };
        let states: Vec<&str> = headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()).collect();
        context.state = Some(states.join(",")).filter(|state| !state.is_empty() && state.len() <= MAX_STATE);
        context
    }

    /// Continues the trace of one `traceparent`, with a new span below the caller's.
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version: [u8; 1] = decode(parts.next()?)?;
        let trace_id: [u8; 16] = decode(parts.next()?)?;
        let parent_id: [u8; 8] = decode(parts.next()?)?;
        let [flags] = decode(parts.next()?)?;
        // Version 255 is forbidden; later versions may append parts, version 0 may not.
        if version == [0xff] || (version == [0] && parts.next().is_some()) {
            return None;
        }
        if trace_id == [0; 16] || parent_id == [0; 8] {
            return None;
        }
        Some(Self { trace_id, parent_id: Some(parent_id), span_id: random(), flags, state: None })
    }

    /// The `traceparent` for whatever this service calls.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", hex::encode(self.trace_id), hex::encode(self.span_id), self.flags)
    }
}

impl Default for TraceContext {
    fn default() -> Self {
        Self::new()
    }
}

/// Lower-case hexadecimal of exactly this length.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// An id that is not all zero.
fn random<const N: usize>() -> [u8; N] {
    loop {
        let bytes = std::array::from_fn(|_| rand::random());
        if bytes != [0; N] {
            return bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(parent: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, parent.parse().unwrap());
        headers.append(TRACESTATE, "a=1".parse().unwrap());
        headers.append(TRACESTATE, "b=2".parse().unwrap());
        headers
    }

    #[test]
    fn a_valid_parent_is_continued_with_an_own_span() {
        let context = TraceContext::from_headers(&headers(PARENT));
        assert_eq!(hex::encode(context.trace_id), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.parent_id.map(hex::encode).as_deref(), Some("b7ad6b7169203331"));
        assert_eq!(context.state.as_deref(), Some("a=1,b=2"));
        let onward = TraceContext::from_traceparent(&context.traceparent()).unwrap();
        assert_eq!((onward.trace_id, onward.parent_id, onward.flags), (context.trace_id, Some(context.span_id), 1));
    }

    #[test]
    fn an_invalid_parent_starts_a_new_trace() {
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            let context = TraceContext::from_headers(&headers(bad));
            assert_eq!((context.parent_id, &context.state), (None, &None), "{bad}");
            assert_ne!(context.trace_id, TraceContext::new().trace_id);
        }
    }

    #[test]
    fn a_later_version_may_have_more_parts() {
        assert!(TraceContext::from_traceparent(&PARENT.replacen("00", "cc", 1).replace("-01", "-01-what")).is_some());
    }
}
