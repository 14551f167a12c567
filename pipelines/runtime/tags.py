"""The tags of runs that several processes read."""

AS_PROMPT_AS = "concord/as_prompt_as"  # a run's tag: the priority of those who wait while it holds an entity's turn
