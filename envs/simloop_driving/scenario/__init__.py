"""World-independent scenario semantics: actor states, road queries and time in; actor commands and criteria out."""
