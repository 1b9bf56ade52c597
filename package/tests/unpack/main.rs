//! Packages from friends and from others, unpacked on a real disk.

mod damage;
mod hostile;
mod kit;
mod whole;
