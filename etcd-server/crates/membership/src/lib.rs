//! Members of the cluster, their ids and the rules of changing them.
