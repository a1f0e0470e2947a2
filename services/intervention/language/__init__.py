"""Language models: questions and answers, the budget, generated copy, the analysis of a user."""
