//! Nobody is let in who has not signed in.

mod account;
mod challenge;
mod layer;
mod settings;
mod signed_in;

pub use account::{Account, Secret, SignInRequest, Store, StoreError};
pub use layer::{CraLayer, CraState};
pub use settings::{Cra, Decoy};
pub use signed_in::SignedIn;
