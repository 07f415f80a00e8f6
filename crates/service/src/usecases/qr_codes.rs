//! The QR codes of logins, drawn. A login is asked for many times while its code stays the same, and drawing is the most expensive part
//! of the answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::{
    Error, Result,
    logins::qr_purpose,
    secrets::{Envelope, Sealer},
};

/// Codes that are remembered; beyond, the memory starts anew. One takes some 20 kB.
const REMEMBERED: usize = 200;

/// A QR code.
pub struct QrCode {
    /// The address in it.
    pub url: SecretString,
    /// The drawing.
    pub svg: SecretString,
}

/// What was drawn lately.
#[derive(Default)]
pub struct QrCodes {
    /// By login: the sealed address that the drawing belongs to.
    drawn: Mutex<HashMap<Uuid, (String, Arc<QrCode>)>>,
}

impl QrCodes {
    /// The code of a login, whose address is given as it is stored: sealed.
    pub async fn draw(&self, sealer: &Sealer, login_id: Uuid, address: &str) -> Result<Arc<QrCode>> {
        if let Some((of, code)) = self.drawn().get(&login_id)
            && of == address
        {
            return Ok(code.clone());
        }
        let opened = sealer.open(&qr_purpose(login_id), &Envelope::parse(address)?).await?;
        let url = SecretString::from(std::str::from_utf8(&opened).map_err(Error::internal)?.to_owned());
        let svg = svg(url.expose_secret())?.into();
        let code = Arc::new(QrCode { url, svg });
        let mut drawn = self.drawn();
        if drawn.len() >= REMEMBERED {
            drawn.clear();
        }
        drawn.insert(login_id, (address.to_owned(), code.clone()));
        Ok(code)
    }

    /// The login is past its code.
    pub fn forget(&self, login_id: Uuid) {
        self.drawn().remove(&login_id);
    }

    fn drawn(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, (String, Arc<QrCode>)>> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn svg(url: &str) -> Result<String> {
    let code = qrcode::QrCode::new(url.as_bytes()).map_err(Error::internal)?;
    Ok(code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(240, 240).build())
}

#[cfg(test)]
mod tests {
    use crate::secrets::Keyring;

    use super::*;

    #[tokio::test]
    async fn a_code_is_drawn_once_and_anew_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Sealer::local(Keyring::open_or_create(&folder.path().join("keyring.json")).unwrap());
        let (codes, login) = (QrCodes::default(), Uuid::now_v7());
        let seal = async |url: &str| sealer.seal(&qr_purpose(login), url.as_bytes()).await.unwrap().to_text();
        let (first, second) = (seal("tg://login?token=a").await, seal("tg://login?token=b").await);
        let drawn = codes.draw(&sealer, login, &first).await.unwrap();
        assert!(drawn.svg.expose_secret().contains("<svg"));
        assert!(Arc::ptr_eq(&drawn, &codes.draw(&sealer, login, &first).await.unwrap()), "it is remembered");
        let next = codes.draw(&sealer, login, &second).await.unwrap();
        assert_eq!(next.url.expose_secret(), "tg://login?token=b");
        assert_ne!(next.svg.expose_secret(), drawn.svg.expose_secret());
        codes.forget(login);
        assert!(codes.drawn().is_empty());
        assert!(codes.draw(&sealer, Uuid::now_v7(), &first).await.is_err(), "it belongs to another login");
    }

    #[tokio::test]
    async fn the_memory_has_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Sealer::local(Keyring::open_or_create(&folder.path().join("keyring.json")).unwrap());
        let codes = QrCodes::default();
        for _ in 0..=REMEMBERED {
            let login = Uuid::now_v7();
            let address = sealer.seal(&qr_purpose(login), b"tg://login?token=x").await.unwrap().to_text();
            codes.draw(&sealer, login, &address).await.unwrap();
        }
        assert_eq!(codes.drawn().len(), 1);
    }
}
