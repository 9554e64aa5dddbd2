"""Settings that follow from the images, the device, the budget and the speed that was measured, each with its reason.

A preset says in its table [choose] what is open and by what it is chosen (`opened`). `choose` is a function of facts;
what a user sets is never chosen. Choices are saved with a run's settings, so that a resumed run does not choose again.
"""
