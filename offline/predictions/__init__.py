"""What was predicted in service, joined with what came true; and how features and scores have moved since."""
