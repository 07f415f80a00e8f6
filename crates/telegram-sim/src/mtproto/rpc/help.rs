//! `help.*`.

use grammers_tl_types::{Identifiable, enums, functions::help as f, types};

use super::{Answer, Call, RpcError, run};
use crate::mtproto::wire::msg_id::unix_time;

pub fn call(call: &Call<'_>, id: u32, body: &[u8]) -> Answer {
    match id {
        f::GetConfig::CONSTRUCTOR_ID => run(body, |_: f::GetConfig| Ok(config(call))),
        f::GetNearestDc::CONSTRUCTOR_ID => run(body, |_: f::GetNearestDc| Ok(nearest(call))),
        f::GetAppConfig::CONSTRUCTOR_ID => run(body, |request| Ok(app_config(&request))),
        _ => Err(RpcError::METHOD_INVALID),
    }
}

fn nearest(call: &Call<'_>) -> enums::NearestDc {
    types::NearestDc { country: "XX".to_owned(), this_dc: call.link.dc, nearest_dc: call.link.dc }.into()
}

fn app_config(request: &f::GetAppConfig) -> enums::help::AppConfig {
    const HASH: i32 = 1;
    if request.hash == HASH {
        return enums::help::AppConfig::NotModified;
    }
    let config = enums::Jsonvalue::JsonObject(types::JsonObject { value: Vec::new() });
    types::help::AppConfig { hash: HASH, config }.into()
}

/// The addresses of the data centres, and limits as Telegram has them.
fn config(call: &Call<'_>) -> enums::Config {
    let dc_options = call.core.addresses().into_iter().map(|(id, address)| {
        types::DcOption {
            ipv6: address.is_ipv6(),
            media_only: false,
            tcpo_only: false,
            cdn: false,
            r#static: true,
            this_port_only: false,
            id,
            ip_address: address.ip().to_string(),
            port: address.port().into(),
            secret: None,
        }
        .into()
    });
    types::Config {
        default_p2p_contacts: false,
        preload_featured_stickers: false,
        revoke_pm_inbox: true,
        blocked_mode: false,
        force_try_ipv6: false,
        date: unix_time(),
        expires: unix_time() + 3600,
        test_mode: false,
        this_dc: call.link.dc,
        dc_options: dc_options.collect(),
        dc_txt_domain_name: String::new(),
        chat_size_max: 200,
        megagroup_size_max: 200_000,
        forwarded_count_max: 100,
        online_update_period_ms: 210_000,
        offline_blur_timeout_ms: 5_000,
        offline_idle_timeout_ms: 30_000,
        online_cloud_timeout_ms: 300_000,
        notify_cloud_delay_ms: 30_000,
        notify_default_delay_ms: 1_500,
        push_chat_period_ms: 60_000,
        push_chat_limit: 2,
        edit_time_limit: 172_800,
        revoke_time_limit: i32::MAX,
        revoke_pm_time_limit: i32::MAX,
        rating_e_decay: 2_419_200,
        stickers_recent_limit: 200,
        channels_read_media_period: 604_800,
        tmp_sessions: None,
        call_receive_timeout_ms: 20_000,
        call_ring_timeout_ms: 90_000,
        call_connect_timeout_ms: 30_000,
        call_packet_timeout_ms: 10_000,
        me_url_prefix: "https://t.me/".to_owned(),
        autoupdate_url_prefix: None,
        gif_search_username: None,
        venue_search_username: None,
        img_search_username: None,
        static_maps_provider: None,
        caption_length_max: 1024,
        message_length_max: 4096,
        webfile_dc_id: 4,
        suggested_lang_code: None,
        lang_pack_version: None,
        base_lang_pack_version: None,
        reactions_default: None,
        autologin_token: None,
    }
    .into()
}
