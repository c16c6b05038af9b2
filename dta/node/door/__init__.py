"""The public door: what a fiduciary shows to the world, in a process without a keystore (docs/spec/door.md)."""
