# fastmri-cls on NVIDIA GPUs. TensorFlow's image brings CUDA and cuDNN in the versions that TensorFlow was built with.
# Not built by us yet: the machines this was written on have no container engine.
#
#   docker build --tag fastmri-cls .
#   docker run --gpus all --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" fastmri-cls train --data data/mri --model small-cnn --out runs/a
FROM tensorflow/tensorflow:2.21.0-gpu

COPY . /opt/fastmri-cls
# TensorFlow itself is in the image already, in the version of constraints.txt.
RUN python3 -m pip install --no-cache-dir --constraint /opt/fastmri-cls/constraints.txt "/opt/fastmri-cls[dicom,nifti]"

# Any user may run it: weights and features are cached beside the data.
ENV FASTMRI_CLS_CACHE=/data/.fastmri-cls MPLCONFIGDIR=/data/.fastmri-cls/matplotlib
WORKDIR /data
ENTRYPOINT ["fastmri-cls"]
CMD ["--help"]
