//! The chain side of the gateway: keys, transactions, the contracts, and chains behind one trait.
//!
//! [`rpc::JsonRpc`] talks to any Ethereum node, [`endpoints::Endpoints`] to several of one chain, [`heads::Heads`] is told by
//! one of its new blocks, [`trust::Trust`] says who vouches for them; [`embedded::EmbeddedChain`] is a small chain in this
//! process, for development and for single sites, and never a consensus network. Everything here blocks: callers on an
//! async runtime go through its blocking threads.

pub use revm::primitives::{Address, B256, U256, keccak256};

mod abi;
pub mod chain;
pub mod dispatch;
pub mod embedded;
pub mod endpoints;
#[doc(hidden)]
pub mod fuzzing;
pub mod heads;
mod json;
pub mod key;
pub mod lines;
pub mod location;
pub mod merkle;
pub mod operator;
pub mod provider;
mod reasons;
pub mod rpc;
pub mod tou;
pub mod trust;
pub mod tx;
pub mod voucher;
pub mod witness;
mod ws;
