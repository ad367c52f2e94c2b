//! Every setting from one table: flags, environment, YAML.
