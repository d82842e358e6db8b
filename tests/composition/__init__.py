"""The composition suite: every verb on what every verb makes, in every context, in every order."""
