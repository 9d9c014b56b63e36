//! Wire types of NVM Express: registers, queue entries, Identify, logs, features, status
