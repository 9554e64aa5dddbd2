"""`fastgan tune`: a search for the settings that train best on some images, on Optuna (the extra `tune`).

The study lies in OUT, or in a database; each trial is an ordinary run folder, trained by a process of its own that
takes its trial from the study. All that has to be known lies in the study: any number of calls, on any number of
machines, work on it at the same time, and the same call goes on where one was killed.

    OUT/study.journal   the study (Optuna), unless --storage names another place
    OUT/space.toml      what was searched
    OUT/data/           images to train on, images held out, and their features
    OUT/trials/0007/    a trial's run; 0007.toml: its settings
    OUT/confirm/        runs of the best trials with fresh seeds
    OUT/workers/        a log of each process
    OUT/best.toml, study.json, report.html
"""
