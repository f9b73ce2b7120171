"""The names of the files in a RUN folder. No other module spells them."""

CONFIG = "config.json"
HISTORY = "history.csv"
EVALUATION = "evaluation.json"  # of a model that was not trained here, in place of config.json
MODEL = "model.keras"
PREDICTIONS = "predictions.csv"
VALIDATION_PREDICTIONS = "predictions-val.csv"
METRICS = "metrics.json"
CALIBRATION = "calibration.json"
OOD_REFERENCE = "ood_reference.npz"
OLD_OOD_REFERENCE = "novelty.npz"  # in RUNs of version 0.1
CHECKSUMS = "checksums.json"
LOG = "train.log"
TRAINED_ON = "trained-on.csv"
TRAIN_FILE = "train.yaml"
REPORT = "report.html"
CARD = "README.md"
FIGURES = "figures"
TRACKING = "tracking.json"
TENSORBOARD = "tensorboard"
CHECKPOINTS = "checkpoints"
EVALUATIONS = "evaluations"
EXPORTS = "exports"
EXPORT_RECORD = "export.json"  # in each of them

TRAINED = (CONFIG, MODEL, HISTORY)  # written by training; evaluation writes all others that are read again
FINISHED = (CONFIG, HISTORY, PREDICTIONS, METRICS, REPORT, CARD)  # a RUN that has all of these is finished
