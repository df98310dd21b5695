//! Tells another program something over HTTP.

use std::time::Duration;

/// Of the answer nothing is of interest but its status.
const MAX_ANSWER: u64 = 64 * 1024;

/// Somebody who takes JSON by `POST`.
#[derive(Clone)]
pub struct Webhook {
    agent: ureq::Agent,
    url: String,
}

impl Webhook {
    /// A hook at `url` (`http` or `https`); nothing is sent yet. Every post ends within `timeout`.
    #[must_use]
    pub fn new(url: &str, timeout: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("microgrid-gateway/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Self { agent, url: url.to_owned() }
    }

    /// Posts a JSON text, and waits for the answer. It blocks: not on a thread that others need.
    ///
    /// # Errors
    /// In words, if nobody answered, or with anything but a status of 200 to 299. The URL is not among them: it may
    /// hold a secret.
    pub fn post(&self, json: &str) -> Result<(), String> {
        let request = self.agent.post(&self.url).header("content-type", "application/json");
        let mut answer = request.send(json).map_err(|e| e.to_string().replace(&self.url, "the web hook"))?;
        let status = answer.status();
        // Read to its end, so that the connection can be used again.
        let _ = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        if status.is_success() { Ok(()) } else { Err(format!("it answers with status {}", status.as_u16())) }
    }
}
