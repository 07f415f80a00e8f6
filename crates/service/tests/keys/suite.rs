//! What every keeper of keys does.

use futures::future::join_all;
use service::secrets::{Envelope, SealError, purpose};
use uuid::Uuid;

use crate::keepers::Keeper;

fn refused(result: Result<impl AsRef<[u8]>, SealError>) -> bool {
    matches!(
        result.err(),
        Some(
            SealError::Refused(_)
                | SealError::Malformed(_)
                | SealError::UnknownKey(_)
                | SealError::UnsupportedVersion(_)
        )
    )
}

async fn secrets_come_back(keeper: &Keeper) {
    let (one, other) = (keeper.process(), keeper.process());
    for plaintext in [&b""[..], b"110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", &vec![7; 100_000]] {
        let purpose = purpose("telegram_bots", Uuid::now_v7(), "bot_token");
        let envelope = one.seal(&purpose, plaintext).await.unwrap();
        assert_eq!(envelope.key, keeper.reference(1));
        let text = envelope.to_text();
        assert!(plaintext.is_empty() || !text.contains("AAHdq"));
        for process in [&one, &other] {
            let opened = process.open(&purpose, &Envelope::parse(&text).unwrap()).await.unwrap();
            assert_eq!(opened.as_slice(), plaintext);
        }
    }
    assert_eq!(one.current_key().await.unwrap(), keeper.reference(1));
}

/// Whatever is changed in a row, and wherever a row's envelope is put, is detected.
async fn changes_are_detected(keeper: &Keeper) {
    let (writer, reader) = (keeper.process(), keeper.process());
    let [first, second] = [Uuid::now_v7(), Uuid::now_v7()].map(|id| purpose("telegram_bots", id, "bot_token"));
    let sealed = writer.seal(&first, b"first").await.unwrap();
    let text = sealed.to_text();
    let variants = (0..text.len()).flat_map(|at| {
        let mut changed = text.clone().into_bytes();
        let mut other = text.clone().into_bytes();
        changed[at] ^= 1;
        other[at] = if other[at] == b'7' { b'8' } else { b'7' };
        [changed, other]
    });
    let tries = variants.map(async |bytes| {
        let Ok(text) = String::from_utf8(bytes) else { return };
        if let Ok(envelope) = Envelope::parse(&text) {
            assert!(refused(reader.open(&first, &envelope).await), "{text}");
        }
    });
    join_all(tries).await;
    // Two rows that were swapped, another column, and parts of another envelope.
    let other = writer.seal(&second, b"second").await.unwrap();
    assert!(refused(reader.open(&first, &other).await) && refused(reader.open(&second, &sealed).await));
    assert!(refused(reader.open(&first.replace("bot_token", "other"), &sealed).await));
    let mixed = Envelope { dek: other.dek.clone(), ..sealed.clone() };
    assert!(refused(reader.open(&first, &mixed).await));
    let cut = Envelope { ct: other.ct.clone(), nonce: other.nonce.clone(), ..sealed.clone() };
    assert!(refused(reader.open(&first, &cut).await));
    // A failed try spoils nothing.
    assert_eq!(reader.open(&first, &sealed).await.unwrap().as_slice(), b"first");
}

async fn many_at_once(keeper: &Keeper) {
    let (writer, reader) = (keeper.process(), keeper.process());
    let rows: Vec<String> = (0..500).map(|row| format!("telegram_sessions/{row}/session_data")).collect();
    let sealed = join_all(rows.iter().map(|row| writer.seal(row, row.as_bytes()))).await;
    let sealed: Vec<Envelope> = sealed.into_iter().map(Result::unwrap).collect();
    // Each is wanted twice at the same time.
    let both = rows.iter().zip(&sealed).chain(rows.iter().zip(&sealed));
    let opened = join_all(both.map(|(row, envelope)| reader.open(row, envelope))).await;
    for (row, opened) in rows.iter().chain(&rows).zip(opened) {
        assert_eq!(opened.unwrap().as_slice(), row.as_bytes());
    }
}

async fn versions_come_and_go(keeper: &Keeper) {
    let process = keeper.process();
    let old = process.seal("a/b", b"old").await.unwrap();
    keeper.rotate();
    let other = keeper.process();
    let new = other.seal("a/c", b"new").await.unwrap();
    assert_eq!((new.key.clone(), other.current_key().await.unwrap()), (keeper.reference(2), keeper.reference(2)));
    for process in [&process, &other] {
        assert_eq!(process.open("a/b", &old).await.unwrap().as_slice(), b"old");
        assert_eq!(process.open("a/c", &new).await.unwrap().as_slice(), b"new");
    }
    keeper.retire_below(2);
    let later = keeper.process();
    assert!(matches!(later.open("a/b", &old).await, Err(SealError::UnknownKey(key)) if key == keeper.reference(1)));
    assert_eq!(later.open("a/c", &new).await.unwrap().as_slice(), b"new");
}

async fn foreign_keys_are_named(keeper: &Keeper) {
    let process = keeper.process();
    let sealed = process.seal("a/b", b"x").await.unwrap();
    let current = keeper.reference(1);
    for key in ["local:77", "vault:transit/another:1", "vault:else/telegram-sessions:1", "vault:", "kms:1", ""] {
        let envelope = Envelope { key: key.to_owned(), ..sealed.clone() };
        let error = process.open("a/b", &envelope).await.unwrap_err();
        assert!(matches!(&error, SealError::UnknownKey(name) if name == key), "{error}");
    }
    // A version that the data key does not have.
    let renamed = Envelope { key: current.replace(":1", ":2"), ..sealed };
    assert!(refused(process.open("a/b", &renamed).await));
}

async fn all(keeper: Keeper) {
    secrets_come_back(&keeper).await;
    changes_are_detected(&keeper).await;
    many_at_once(&keeper).await;
    foreign_keys_are_named(&keeper).await;
    versions_come_and_go(&keeper).await;
}

#[tokio::test]
async fn the_keyring_file() {
    all(Keeper::local()).await;
}

#[tokio::test]
async fn vault() {
    all(Keeper::vault()).await;
}
