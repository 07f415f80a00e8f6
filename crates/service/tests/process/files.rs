//! Large files: the memory of the service does not grow with them, and other requests go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use rustix::process::Pid;
use serde_json::Value;

use crate::support::{Api, Machine};

const MIB: u64 = 1 << 20;
/// How large each of two files is.
const SIZE: u64 = 300 * MIB;
/// By how much the memory may grow for both together.
const MOST: u64 = 32 * MIB;
const FILES: &str = "/api/integrations/files";

/// A value of `/proc/…/status`, in bytes.
pub fn memory(pid: Pid, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The peak is counted anew from here.
pub fn forget_peak(pid: Pid) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// So many bytes, which differ for each seed, and from place to place.
fn content(seed: u64, size: u64) -> reqwest::Body {
    let pieces = stream::iter(0..size / (64 << 10)).map(move |number| {
        let word = (seed << 32 | number).to_le_bytes();
        Ok::<_, std::io::Error>(Bytes::from(word.repeat((64 << 10) / 8)))
    });
    reqwest::Body::wrap_stream(pieces)
}

async fn upload(base: String, token: String, seed: u64, size: u64) -> Value {
    let request = reqwest::Client::new().post(format!("{base}{FILES}?name={seed}.bin")).bearer_auth(token);
    let answer = request.body(content(seed, size)).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_do_not_grow_the_memory_and_hold_up_nobody() {
    let machine = Machine::new();
    let service = machine.serve().await;
    let (base, token) = (service.url(), machine.token().await);
    let api = Api::new(&base, &token);
    // Everything that is made once is made now.
    upload(base.clone(), token.clone(), 1, 4 * MIB).await;
    api.get(FILES).await;

    let pid = service.pid();
    forget_peak(pid);
    let before = memory(pid, "VmRSS");
    let is_over = Arc::new(AtomicBool::new(false));
    let others = tokio::spawn({
        let (api, is_over) = (api.clone(), is_over.clone());
        async move {
            let mut answered = 0;
            while !is_over.load(Ordering::Relaxed) {
                let (status, _) = api.get(FILES).await;
                assert_eq!(status, 200);
                answered += 1;
            }
            answered
        }
    });
    let uploads = [2, 3].map(|seed| tokio::spawn(upload(base.clone(), token.clone(), seed, SIZE)));
    let mut files = Vec::new();
    for upload in uploads {
        files.push(upload.await.unwrap());
    }
    is_over.store(true, Ordering::Relaxed);
    let answered = others.await.unwrap();
    let uploading = memory(pid, "VmHWM") - before;

    forget_peak(pid);
    for file in files {
        assert_eq!(file["size_bytes"], SIZE);
        let path = format!("{base}{FILES}/{}/content", file["id"].as_str().unwrap());
        let answer = reqwest::Client::new().get(path).bearer_auth(&token).send().await.unwrap();
        let length = answer.bytes_stream().fold(0, |sum, piece| async move { sum + piece.unwrap().len() as u64 }).await;
        assert_eq!(length, SIZE);
    }
    let downloading = memory(pid, "VmHWM").saturating_sub(before);
    println!(
        "peaks above {before} bytes: {uploading} for two uploads, {downloading} for downloads; {answered} other answers"
    );
    assert!(uploading < MOST, "two uploads of {SIZE} bytes took {uploading} bytes");
    assert!(downloading < MOST, "downloads of {SIZE} bytes took {downloading} bytes");
    assert!(answered > 10, "others were answered {answered} times only");
    service.stop().await;
}
