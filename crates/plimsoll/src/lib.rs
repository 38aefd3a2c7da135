//! Plimsoll says here: the command line and the terminal view. It holds no logic another front would need.
