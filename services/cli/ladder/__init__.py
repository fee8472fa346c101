"""`inkstone ladder`: ways to answer measured on the same cases, and which one to take."""
