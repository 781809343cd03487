//! One connection under one fault: a client that flowfault runs, a server that it does not know,
//! and captures on the cable.

pub mod packet;
pub mod pcapng;
pub mod qdiscs;
pub mod scene;
pub mod stats;
pub mod stream;
pub mod tap;
pub mod trial;
