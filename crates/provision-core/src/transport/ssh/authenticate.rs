//! Logging in: which keys are offered in which order, and what is said when none is accepted.
//!
//! Every key is first shown without a signature, so a passphrase or a touch is asked for only when it will help.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::{AgentClient, AgentStream};
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use russh::{MethodKind, MethodSet, Signer};

use super::SshOptions;
use super::handler::{Ending, Handler};
use super::key_file::{KeyFile, Person};
use crate::transport::TransportError;

type Agent = AgentClient<Box<dyn AgentStream + Send + Unpin>>;

/// One login on a connection whose host key has been checked.
pub(super) struct Login<'a> {
    pub(super) handle: &'a mut Handle<Handler>,
    pub(super) options: &'a SshOptions,
    pub(super) host: &'a str,
    pub(super) ending: &'a Ending,
}

/// Something that can be offered.
enum Candidate {
    Agent(Box<AgentIdentity>),
    File(KeyFile),
}

/// What came of an offer.
enum Outcome {
    Accepted,
    Refused,
    /// There was nothing to offer.
    Skipped(String),
    /// The host would take the key, but it could not be used on this side.
    Unusable(String),
    /// The host takes no further offers.
    Over(String),
}

impl Login<'_> {
    pub(super) async fn run(mut self) -> Result<(), TransportError> {
        let mut tried = Vec::new();
        let mut files = Vec::new();
        for path in &self.options.identity_files {
            files.push(KeyFile::read(path).await);
        }
        let mut agent = self.agent(&mut tried).await;
        let identities = match &mut agent {
            Some(agent) => self.identities(agent, &mut tried).await,
            None => Vec::new(),
        };

        let mut unusable = None;
        for candidate in order(identities, files, self.options.identities_only) {
            let name = candidate.name();
            match self.offer(&candidate, agent.as_mut()).await? {
                Outcome::Accepted => return Ok(()),
                Outcome::Refused => tried.push(name),
                Outcome::Skipped(reason) => tried.push(format!("{name} ({reason})")),
                Outcome::Unusable(reason) => {
                    tried.push(format!("{name} ({reason})"));
                    if let Candidate::File(KeyFile { path, .. }) = candidate {
                        unusable.get_or_insert(TransportError::KeyFile { path: path.to_string(), reason });
                    }
                }
                Outcome::Over(reason) => {
                    tried.push(format!("{name}, then {reason}"));
                    break;
                }
            }
        }
        // A key that the host would have taken is the one to mend.
        Err(unusable.unwrap_or_else(|| TransportError::Authentication {
            host: self.host.to_owned(),
            user: self.options.user.clone(),
            tried: if tried.is_empty() { "nothing".to_owned() } else { tried.join(", ") },
        }))
    }

    /// An agent that does not answer costs its keys, not the login.
    async fn agent(&self, tried: &mut Vec<String>) -> Option<Agent> {
        let path = self.options.agent.as_deref()?;
        #[cfg(unix)]
        let connecting = AgentClient::connect_uds(path.as_std_path());
        #[cfg(windows)]
        let connecting = AgentClient::connect_named_pipe(path.as_std_path());
        let mut agent = match tokio::time::timeout(self.options.connect_timeout, connecting).await {
            Ok(Ok(agent)) => agent.dynamic(),
            Ok(Err(error)) => {
                tried.push(format!("agent {path} ({error})"));
                return None;
            }
            Err(_) => {
                tried.push(format!("agent {path} (no answer)"));
                return None;
            }
        };
        if let Some(binding) = self.handle.agent_session_binding() {
            // Keys that are bound to certain hosts are shown only after this; agents without it say no, which is fine.
            let bound = agent.bind_session(binding, false);
            let _ = tokio::time::timeout(self.options.connect_timeout, bound).await;
        }
        Some(agent)
    }

    async fn identities(&self, agent: &mut Agent, tried: &mut Vec<String>) -> Vec<AgentIdentity> {
        let failure = match tokio::time::timeout(self.options.connect_timeout, agent.request_identities()).await {
            Ok(Ok(identities)) => return identities,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        tried.push(format!("agent ({failure})"));
        Vec::new()
    }

    async fn offer(&mut self, candidate: &Candidate, agent: Option<&mut Agent>) -> Result<Outcome, TransportError> {
        let person = Person::default();
        let mut signer = match (candidate, agent) {
            (Candidate::Agent(_), Some(agent)) => Hand::Agent { agent, person: &person },
            (Candidate::Agent(_), None) => return Ok(Outcome::Skipped("no agent".to_owned())),
            (Candidate::File(file), _) => {
                if let Some(reason) = file.unusable() {
                    return Ok(Outcome::Skipped(reason.to_owned()));
                }
                Hand::File { file, options: self.options, person: &person, opened: None }
            }
        };
        let public = match candidate {
            Candidate::Agent(identity) => identity.public_key().into_owned(),
            Candidate::File(KeyFile { public: Some(public), .. }) => public.clone(),
            // A locked PEM file without its `.pub`: there is nothing to show before it is open.
            Candidate::File(_) => match signer.open().await {
                Ok(key) => key.public_key().clone(),
                Err(reason) => return Ok(Outcome::Unusable(reason)),
            },
        };
        let hash = self.rsa_hash(&public).await;
        let user = self.options.user.as_str();
        let certificate = match candidate {
            Candidate::Agent(identity) => match identity.as_ref() {
                AgentIdentity::Certificate { certificate, .. } => Some(certificate.clone()),
                AgentIdentity::PublicKey { .. } => None,
            },
            Candidate::File(_) => None,
        };
        let asked = async {
            match certificate {
                Some(shown) => self.handle.authenticate_certificate_with(user, shown, hash, &mut signer).await,
                None => self.handle.authenticate_publickey_with(user, public, hash, &mut signer).await,
            }
        };
        let answer = answered(asked, &person, self.options.connect_timeout).await;
        match answer {
            None => {
                Err(TransportError::ConnectTimeout { host: self.host.to_owned(), limit: self.options.connect_timeout })
            }
            Some(Ok(AuthResult::Success)) => Ok(Outcome::Accepted),
            Some(Ok(AuthResult::Failure { remaining_methods, .. })) => Ok(self.refused(&remaining_methods)),
            Some(Err(SignError::Key(reason))) => Ok(Outcome::Unusable(reason)),
            Some(Err(SignError::Connection)) => Ok(Outcome::Over(self.hung_up())),
        }
    }

    fn refused(&self, remaining: &MethodSet) -> Outcome {
        if self.handle.is_closed() || remaining.is_empty() {
            Outcome::Over(self.hung_up())
        } else if remaining.contains(&MethodKind::PublicKey) {
            Outcome::Refused
        } else {
            let methods: Vec<&str> = remaining.iter().map(Into::into).collect();
            Outcome::Over(format!("the host takes only {}", methods.join(" or ")))
        }
    }

    fn hung_up(&self) -> String {
        let reason = self.ending.get().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("the host hung up{reason}")
    }

    async fn rsa_hash(&self, public: &PublicKey) -> Option<HashAlg> {
        if !matches!(public.algorithm(), Algorithm::Rsa { .. }) {
            return None;
        }
        match self.handle.best_supported_rsa_hash().await {
            Ok(Some(Some(hash))) => Some(hash),
            // The host does not say, or says SHA-1, which is not signed with.
            _ => Some(HashAlg::Sha512),
        }
    }
}

impl Candidate {
    fn name(&self) -> String {
        match self {
            Self::Agent(identity) if identity.comment().is_empty() => {
                format!("agent key {}", identity.public_key().fingerprint(HashAlg::Sha256))
            }
            Self::Agent(identity) => format!("agent key {}", identity.comment()),
            Self::File(file) => file.path.to_string(),
        }
    }
}

/// OpenSSH's order: agent keys that are also named as files, the agent's other keys, then the files the agent does not
/// have. A host gives up after six offers, so the keys that were named come early.
fn order(identities: Vec<AgentIdentity>, mut files: Vec<KeyFile>, identities_only: bool) -> Vec<Candidate> {
    let mut named = Vec::new();
    let mut other = Vec::new();
    for identity in identities {
        let public = identity.public_key().into_owned();
        let place = files
            .iter()
            .position(|file| file.public.as_ref().is_some_and(|known| known.key_data() == public.key_data()));
        match place {
            Some(place) => named.push((place, Candidate::Agent(Box::new(identity)))),
            None => other.push(Candidate::Agent(Box::new(identity))),
        }
    }
    named.sort_by_key(|(place, _)| *place);
    let mut in_agent = named.iter().map(|(place, _)| *place).collect::<Vec<_>>();
    in_agent.dedup();
    for place in in_agent.into_iter().rev() {
        files.remove(place);
    }
    if identities_only {
        other.clear();
    }
    named
        .into_iter()
        .map(|(_, candidate)| candidate)
        .chain(other)
        .chain(files.into_iter().map(Candidate::File))
        .collect()
}

/// Signs with whatever has the private key.
enum Hand<'a> {
    Agent { agent: &'a mut Agent, person: &'a Person },
    File { file: &'a KeyFile, options: &'a SshOptions, person: &'a Person, opened: Option<Box<PrivateKey>> },
}

#[derive(Debug)]
enum SignError {
    Key(String),
    Connection,
}

impl From<russh::SendError> for SignError {
    fn from(_: russh::SendError) -> Self {
        Self::Connection
    }
}

impl Hand<'_> {
    async fn open(&mut self) -> Result<&PrivateKey, String> {
        match self {
            Self::Agent { .. } => Err("the key is in the agent".to_owned()),
            Self::File { opened: Some(key), .. } => Ok(key),
            Self::File { file, options, person, opened } => {
                let key = file.open(options.passphrases.as_deref(), person).await?;
                Ok(opened.insert(Box::new(key)))
            }
        }
    }
}

impl Signer for Hand<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        if let Self::Agent { agent, person } = self {
            // The agent may ask for a confirmation, or a token for a touch.
            let _busy = person.busy();
            return agent
                .sign_request(identity, hash, to_sign)
                .await
                .map_err(|error| SignError::Key(error.to_string()));
        }
        let key = self.open().await.map_err(SignError::Key)?;
        let signature = sign(key, hash, &to_sign).map_err(|error| SignError::Key(error.to_string()))?;
        signature.encode_prefixed(&mut to_sign).map_err(|error| SignError::Key(error.to_string()))?;
        Ok(to_sign)
    }
}

fn sign(
    key: &PrivateKey,
    hash: Option<HashAlg>,
    data: &[u8],
) -> Result<Signature, Box<dyn std::error::Error + Send + Sync>> {
    match key.key_data() {
        KeypairData::Rsa(pair) => Ok((pair, hash).try_sign(data)?),
        pair => Ok(pair.try_sign(data)?),
    }
}

/// Waits for the host's answer for at most `limit`, not counting the time in which a person is asked for something.
async fn answered<T>(answer: impl Future<Output = T>, person: &Person, limit: Duration) -> Option<T> {
    let mut answer = pin!(answer);
    loop {
        let before = person.count();
        match tokio::time::timeout(limit, &mut answer).await {
            Ok(answer) => return Some(answer),
            Err(_) if before.is_multiple_of(2) && person.count() == before => return None,
            Err(_) => (),
        }
    }
}
