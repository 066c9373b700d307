"""Students that learn from teachers: loss terms, serial, parallel and online training."""

from youtube8m_distill.distillation.builders import build_stages
from youtube8m_distill.distillation.builders import build_student
from youtube8m_distill.distillation.builders import label_objective
from youtube8m_distill.distillation.losses import intermediate_representation_loss
from youtube8m_distill.distillation.losses import prediction_loss
from youtube8m_distill.distillation.losses import representation_loss
from youtube8m_distill.distillation.online_mixture import OnlineMixtureObjective
from youtube8m_distill.distillation.parallel import ParallelDistiller
from youtube8m_distill.distillation.serial import SerialDistiller
from youtube8m_distill.distillation.terms import StudentTerms
